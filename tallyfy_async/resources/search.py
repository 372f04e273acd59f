"""Search."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Search(Resource):
    """Search over runs, templates, tasks and snippets."""
