"""Where a fleet's export goes: files that are put together from pieces, or PostgreSQL."""
