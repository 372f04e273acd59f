"""Small services that belong to no organization."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Utils(Resource):
    """Configuration, countries and other small services."""
