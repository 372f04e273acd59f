"""Tags."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Tags(Resource):
    """The tags of the organization, and what they are attached to."""
