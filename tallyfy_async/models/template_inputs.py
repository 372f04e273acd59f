"""What writes of templates and steps take."""

from collections.abc import Iterable
from typing import Required, TypedDict

from tallyfy_async.models.fields import PrerunCreate, PrerunInput


class _ChecklistFields(TypedDict, total=False):
    summary: str | None
    """Up to 2000 characters."""
    guidance: str | None
    """Instructions shown before launch."""
    icon: str | None
    webhook: str | None
    explanation_video: str | None
    kickoff_title: str | None
    kickoff_description: str | None
    is_public: bool
    is_featured: bool
    public_cover: str | None
    is_public_kickoff: bool
    default_process_name_format: str | None
    """Up to 550 characters."""
    auto_naming: bool
    dual_version_enabled: bool
    """Draft and published mode."""
    folderize_process: bool
    """Launcher must choose a folder."""
    tag_process: bool
    """Launcher must choose a tag."""
    allow_launcher_change_name: bool
    is_pinned: bool
    default_folder: str | None
    folder_changeable_by_launcher: bool
    can_add_oot: bool
    """One-off tasks may be added to its processes."""
    starred: bool
    owner_id: int
    user_id: int
    """Member recorded as creator."""
    folder_id: str | None
    """Template folder to file it in."""
    alias: str


class ChecklistCreate(_ChecklistFields, total=False):
    """A new template (contract: ChecklistCreate)."""

    title: Required[str]
    """Up to 250 characters."""
    type: Required[str]
    """procedure, form or document."""
    users: Iterable[int]
    groups: Iterable[str]
    prerun: Iterable[PrerunCreate]
    """The kick-off form, in the order in which it is shown."""


class ChecklistUpdate(_ChecklistFields, total=False):
    """What an update changes on a template. For the kick-off form, see ``checklists.preruns``."""

    title: str
    type: str
    users: Iterable[int]
    """Members with default access, all of them."""
    groups: Iterable[str]
    """Groups with default access, all of them."""


class ChecklistReplace(_ChecklistFields, total=False):
    """What the server wants on every update of a template (contract: ChecklistUpdate); the rest stays if absent."""

    title: Required[str]
    users: Required[Iterable[int]]
    groups: Required[Iterable[str]]
    type: str
    prerun: Iterable[PrerunInput]
    """The kick-off form, whole: fields that are left out go, with what was collected in them."""


class StepDeadlineInput(TypedDict):
    """When the task of a step becomes due (contract: StepDeadline)."""

    value: int
    unit: str
    """minutes, hours, days, weeks or months."""
    option: str
    """``from`` counts forward, ``prior_to`` backward."""
    step: str | None
    """``start_run``, which is the launch, or the id of the step to count from."""


class StepStartDateInput(TypedDict):
    """When the task of a step starts (contract: StepStartDate)."""

    value: int
    unit: str
    """minutes, hours, days, weeks or months."""


class _StepFields(TypedDict, total=False):
    summary: str
    """HTML instructions."""
    step_type: str
    """task, approval, expiring, email or expiring_email."""
    webhook: str | None
    max_assignable: int | None
    tags: Iterable[str]
    """Tag ids."""
    deadline: StepDeadlineInput
    start_date: StepStartDateInput
    allow_guest_owners: bool
    skip_start_process: bool
    """The step may not be left out at launch."""
    can_complete_only_assignees: bool
    everyone_must_complete: bool
    prevent_guest_comment: bool
    is_soft_start_date: bool
    role_changes_every_time: bool
    assign_run_starter: bool
    """An unassigned step goes to the launcher, which is the default."""
    top_secret: bool
    send_chromeless: bool


class StepCreate(_StepFields, total=False):
    """A new step; it is appended, so it takes no position (contract: StepCreate)."""

    title: Required[str]
    """Up to 600 characters."""
    assignees: Iterable[int]
    """Member ids."""
    guests: Iterable[str]
    """E-mail addresses."""
    groups: Iterable[str]


class StepUpdate(_StepFields, total=False):
    """What an update changes on a step; each list of people is replaced whole."""

    title: str
    assignees: Iterable[int]
    guests: Iterable[str]
    groups: Iterable[str]


class StepReplace(_StepFields, total=False):
    """What the server wants on every update of a step (contract: StepUpdate); the rest stays if absent."""

    title: Required[str]
    assignees: Required[Iterable[int]]
    guests: Required[Iterable[str]]
    groups: Required[Iterable[str]]
