"""Custom fields: values that an organization adds to its own records."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.resources.base import Resource


@frozen(eq=False)
class CustomFieldKeys(Resource):
    """The keys of custom fields."""
