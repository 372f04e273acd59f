"""Steps of templates."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Steps(Resource):
    """Steps of templates."""
