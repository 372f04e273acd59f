"""Watchers: who is told of what by mail or webhook."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Webhooks(Resource):
    """Watchers and organization-wide webhooks."""
