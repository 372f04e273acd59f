"""What the creation of a one-off task takes."""

from collections.abc import Iterable
from typing import Required, TypedDict

from tallyfy_async.models.fields import ColumnInput
from tallyfy_async.models.owners import WholeOwners
from tallyfy_async.protocol.converter import Moment


class TaskFieldOption(TypedDict):
    """One choice of a radio, dropdown or multiselect field."""

    id: int
    text: str
    """What the user sees, and what an answer must repeat."""


class TaskField(TypedDict, total=False):
    """A form field of a new one-off task (contract: FormFieldDefinitionInput)."""

    label: Required[str]
    field_type: Required[str]
    """text, textarea, radio, dropdown, multiselect, date, email, file, table or assignees_form."""
    required: Required[bool]
    """Must be there even where it is False."""
    options: Iterable[TaskFieldOption]
    """Needed by radio, dropdown and multiselect; the server does not say so."""
    columns: Iterable[ColumnInput]
    """Of a table."""
    guidance: str
    position: int
    """From 1."""


class TaskCreate(TypedDict, total=False):
    """Arguments of a new one-off task (contract: TaskCreate). Sent twice, it makes two."""

    title: Required[str]
    """Up to 600 characters."""
    owners: Required[WholeOwners]
    deadline: Required[Moment]
    """The server moves it to a working day."""
    task_type: str
    """task (sent unless given), approval, expiring, email or expiring_email."""
    summary: str
    """Instructions; some pages of the API's documentation call them description."""
    started_at: Moment
    is_soft_start_date: bool
    separate_task_for_each_assignee: bool
    """Make a run of its own, with one task for each assignee, groups expanded."""
    max_assignable: int
    """Members plus guests; 0 is unlimited."""
    prevent_guest_comment: bool
    everyone_must_complete: bool
    can_complete_only_assignees: bool
    tags: Iterable[str]
    """Tag ids."""
    form_fields: Iterable[TaskField]
    webhook: str
    top_secret: bool
    run_id: str
    """Run that the task is added to; it must allow that (``run.can_add_oot``)."""
    position: int
    """From 1."""
    status: str
