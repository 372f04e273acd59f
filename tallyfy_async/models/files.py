"""Files that were uploaded."""

from datetime import datetime

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
