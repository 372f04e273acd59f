"""Files and assets."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class Files(Resource):
    """Files of fields, runs and templates."""


@frozen(eq=False)
class Assets(Resource):
    """Assets of the organization."""
