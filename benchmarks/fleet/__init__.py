"""Many processes at work: a realm of several organizations, chaos among the workers that export it."""
