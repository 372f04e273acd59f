"""Captures: the form fields of steps."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Captures(Resource):
    """Form fields of the steps of templates."""
