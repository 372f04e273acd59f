"""Accounts of people, before anybody is logged in."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Accounts(Resource):
    """Registration, activation and passwords."""
