"""The commands of ``python -m tallyfy_async`` that are for a person at a terminal."""
