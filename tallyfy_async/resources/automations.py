"""Automated actions: the rules of a template."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Automations(Resource):
    """Rules of templates."""
