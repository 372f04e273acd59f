"""Folders."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Folders(Resource):
    """Folders of templates and processes."""
