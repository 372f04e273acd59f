"""Custom fields: what an organization notes on its own records, beside the form fields."""

from collections.abc import Mapping
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id


@frozen(kw_only=True, repr=False)
class CustomFieldKey(Model):
    """Define a custom field (contract: CustomFieldKey)."""

    id: Id | None = None
    """Not among the keys that official documents show."""
    key: str | None = None
    applies_to: str | None = None
    """A kind of record; ``process`` is the one that official documents show."""
    field_type: str | None = None
    """text, textarea, number, boolean, date, email, url, radio, dropdown, multiselect or table."""
    key_type: str | None = None
    """org or system; values of system keys are the server's."""
    is_required: bool | None = None
    is_active: bool | None = None


class CustomFieldKeyCreate(TypedDict, total=False):
    """A custom field to define (contract: CustomFieldKeyCreate)."""

    key: Required[str]
    """It cannot be changed later, nor can the two below."""
    applies_to: Required[str]
    field_type: Required[str]
    is_required: bool
    is_active: bool
    more: Mapping[str, Any]
    """Further keys of the body by their names, such as the options of a dropdown: their form is not published."""
