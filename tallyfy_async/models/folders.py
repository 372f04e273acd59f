"""Folders of templates and of processes."""

from datetime import datetime
from typing import Any

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, Include


@frozen(kw_only=True, repr=False)
class Folder(Model):
    """Describe a folder; ``folder_type`` is ``checklist`` or ``run``."""

    id: Id
    name: str
    parent_id: Id | None = None
    parent: str | dict[str, Any] | None = None
    total: int | None = None
    """Number of objects in the folder."""
    position: int | None = None
    folder_type: str | None = None
    """Checklist or run."""
    children: Include["Folder"] | None = None
    """With=children."""
    created_at: datetime | None = None
    custom_fields: dict[str, Any] | None = None
