"""Groups of members and guests."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Groups(Resource):
    """Groups of members and guests."""
