"""Threads: comments and issues."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Threads(Resource):
    """Comments and issues of tasks, runs and templates."""
