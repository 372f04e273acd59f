"""Routes of older documents."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Legacy(Resource):
    """Routes that only older documents name."""
