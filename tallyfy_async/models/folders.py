"""Folders of templates and of processes."""

from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, Include, MemberId


class FolderCreate(TypedDict, total=False):
    """A new folder (contract: FolderCreate)."""

    name: Required[str]
    """At most 32 characters."""
    folder_type: str
    """checklist, for templates, unless given; run, for processes and tasks. It cannot be changed."""
    parent_id: str
    """Folder of the same type."""


class FolderUpdate(TypedDict, total=False):
    """What an update changes on a folder (contract: FolderUpdate)."""

    name: str
    """At most 32 characters."""
    parent_id: str | None
    """Folder to move it into; None is the root."""


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


@frozen(kw_only=True, repr=False)
class FolderObject(Model):
    """Describe the place of a process or task in a folder (contract: FolderObject)."""

    id: MemberId
    """Id of the relation: the only handle for taking the object out again."""
    folder_id: Id | None = None
    subject_id: Id | None = None
    subject_type: str | None = None
