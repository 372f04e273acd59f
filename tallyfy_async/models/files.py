"""Files that were uploaded."""

from datetime import datetime
from typing import Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id


@frozen(kw_only=True, repr=False)
class AssetSubject(Model):
    """Name the object that a file belongs to."""

    id: Id | None = None
    type: str | None = None
    """Run, Checklist, Task or Organization."""


@frozen(kw_only=True, repr=False)
class Asset(Model):
    """Describe an uploaded file."""

    id: Id
    filename: str | None = None
    version: int | None = None
    uploaded_from: str | None = None
    """Capture id or ko_field."""
    uploaded_at: datetime | None = None
    step_id: Id | None = None
    source: str | None = None
    system: str | None = None
    """External storage name."""
    uploaded_to_s3: bool | None = None
    subject: AssetSubject | None = None


class FileUpload(TypedDict, total=False):
    """Where an uploaded file belongs (contract: AssetUpload)."""

    subject_type: Required[str]
    """Checklist for a kick-off field, Run for a field of a process task, Task for one of a one-off task."""
    subject_id: Required[str]
    """Id of the template, the run or the one-off task."""
    uploaded_from: Required[str]
    """Id of the field; ko_field for a kick-off field."""
    step_id: str
    """With Run alone, and there always: the step that owns the field."""
    checklist_id: str
    """With Run alone, and there always: the template that the run came from."""
    system: str
    """Name of the external storage that the file comes from, such as Dropbox."""
