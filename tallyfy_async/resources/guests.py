"""Guests."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Guests(Resource):
    """People outside of the organization who take part in its tasks."""
