"""Micro-functions."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Micro(Resource):
    """Small single-purpose calls."""
