"""What a member sets up for itself: preferences and views of the process list."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id


@frozen(kw_only=True, repr=False)
class Preference(Model):
    """Describe a preference (contract: Preference)."""

    slug: str
    """Its name."""
    value: str | None = None
    """A text, for numbers too."""
    metadata: dict[str, Any] | None = None
    last_updated: datetime | None = None


class PreferenceInput(TypedDict, total=False):
    """A preference to store (contract: PreferenceInput)."""

    slug: Required[str]
    value: str
    metadata: Mapping[str, Any]


@frozen(kw_only=True, repr=False)
class ProcessView(Model):
    """Describe a saved view of the process list (contract: ProcessView)."""

    id: Id
    name: str | None = None
    is_active: bool | None = None
    filter_type: str | None = None
    """all or any."""
    criteria: tuple[Any, ...] | None = None
    """Texts or objects, whose shape is not published."""


class ProcessViewInput(TypedDict, total=False):
    """A view to save, or what to change in one (contract: ProcessViewInput)."""

    name: str
    filter_type: str
    """``all`` or ``any`` of the criteria."""
    is_active: bool
    criteria: Iterable[Any]
