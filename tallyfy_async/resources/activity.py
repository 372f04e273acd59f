"""What happened in an organization."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Activity(Resource):
    """The activity feed."""
