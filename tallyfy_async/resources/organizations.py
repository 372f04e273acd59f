"""The organization itself: details, billing and branding."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Billing(Resource):
    """Billing of the organization."""


@frozen(eq=False)
class Branding(Resource):
    """Branding of the organization."""
