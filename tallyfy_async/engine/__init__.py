"""One call and many calls: retries, the pipeline of a call, pages."""
