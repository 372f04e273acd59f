"""Preruns: the kick-off fields of templates."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Preruns(Resource):
    """Kick-off fields of templates."""
