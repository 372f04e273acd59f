"""The authenticated user's saved views of processes."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class ProcessViews(Resource):
    """Saved views of the process list."""
