"""Templates (checklists) and their steps."""

from datetime import datetime
from typing import Any

from attrs import frozen

from tallyfy_async.models.automations import AutomatedAction
from tallyfy_async.models.base import Model
from tallyfy_async.models.fields import Capture, Prerun
from tallyfy_async.models.files import Asset
from tallyfy_async.models.folders import Folder
from tallyfy_async.models.tags import TagAssociation, TagRef
from tallyfy_async.protocol.converter import Id, Include, Item, MemberId


@frozen(kw_only=True, repr=False)
class Stage(Model):
    """Describe a milestone of a template (contract: Stage)."""

    id: Id | None = None
    checklist_id: Id | None = None
    name: str | None = None
    position: int | None = None
    condition: Any = None


@frozen(kw_only=True, repr=False)
class StepDeadline(Model):
    """Say when the task of a step becomes due (contract: StepDeadlineOut)."""

    value: int | None = None
    unit: str | None = None
    """a unit of StepDeadline, or any other word that was stored."""
    option: str | None = None
    """From or prior_to, or any other word that was stored."""
    step: str | None = None
    """Start_run or the id of the anchor step; null or absent means no anchor, not launch."""


@frozen(kw_only=True, repr=False)
class StepStartDate(Model):
    """Say when the task of a step starts."""

    value: int | None = None
    unit: str | None = None


@frozen(kw_only=True, repr=False)
class StepBpToLaunch(Model):
    """Name the template that is launched when the task of a step completes."""

    id: Id | None = None
    """Template launched when the task completes."""
    default_name_format: str | None = None
    tasks_within_process: bool | None = None
    """Inject the tasks into the current process instead of starting a separate one."""


@frozen(kw_only=True, repr=False)
class Step(Model):
    """Describe a step of a template (contract: Step)."""

    id: Id
    """Timeline id, stable over versions."""
    title: str
    checklist_id: Id | None = None
    alias: str | None = None
    summary: str | None = None
    """HTML instructions; there is no description key."""
    step_type: str | None = None
    position: int | None = None
    """1-based."""
    max_assignable: int | None = None
    webhook: str | None = None
    start_date: StepStartDate | None = None
    deadline: StepDeadline | None = None
    bp_to_launch: StepBpToLaunch | None = None
    assignees: tuple[MemberId, ...] | None = None
    """Member ids; always present."""
    guests: tuple[str, ...] | None = None
    """Guest emails; always present."""
    groups: tuple[Id, ...] | None = None
    """Group ids; always present."""
    captures: Include[Capture] | None = None
    """Form fields of the step, inlined."""
    roles: tuple[Id, ...] | None = None
    stage_id: Id | None = None
    """Milestone of the step, where milestones are used (name inferred from with=stages)."""
    tags: Include[TagAssociation] | None = None
    """Step tags when included."""
    custom_fields: dict[str, Any] | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    archived_at: datetime | None = None
    allow_guest_owners: bool | None = None
    skip_start_process: bool | None = None
    """Mandatory flag of the launch screen: step may not be left out at launch."""
    can_complete_only_assignees: bool | None = None
    """Only assignees (and admins) may complete or edit."""
    everyone_must_complete: bool | None = None
    prevent_guest_comment: bool | None = None
    """Guests neither see nor post comments."""
    is_soft_start_date: bool | None = None
    role_changes_every_time: bool | None = None
    assign_run_starter: bool | None = None
    """an unassigned step goes to the launcher; default true."""
    top_secret: bool | None = None
    send_chromeless: bool | None = None
    """Email types: send without Tallyfy branding."""


@frozen(kw_only=True, repr=False)
class Checklist(Model):
    """Describe a template (contract: Checklist); ``title`` is what the web app calls its name."""

    id: Id
    """Timeline id, stable over versions."""
    title: str
    increment_id: MemberId | None = None
    alias: str | None = None
    type: str | None = None
    status: str | None = None
    starred: bool | None = None
    folder_id: Id | None = None
    prerun: tuple[Prerun, ...] | None = None
    """The kick-off form, always there."""
    automated_actions: tuple[AutomatedAction, ...] | None = None
    """The rules, always there."""
    created_by: MemberId | None = None
    owner_id: MemberId | None = None
    last_updated_by: MemberId | None = None
    started_processes: int | None = None
    steps_count: int | None = None
    users: tuple[MemberId, ...] | None = None
    """Members with default access; always present."""
    groups: tuple[Id, ...] | None = None
    """Groups with default access; always present."""
    topic_tags: tuple[TagRef, ...] | None = None
    industry_tags: tuple[TagRef, ...] | None = None
    is_published_state: bool | None = None
    ko_form_blueprint_id: Id | None = None
    kickoff_sharing_user_id: MemberId | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    archived_at: datetime | None = None
    custom_fields: dict[str, Any] | None = None
    steps: Include[Step] | None = None
    """Only with ``with=steps``."""
    tags: Include[TagAssociation] | None = None
    """Only with ``with=tags``."""
    folder: Item[Folder] = None
    """Only with ``with=folder``."""
    stages: Include[Stage] | None = None
    """Only with ``with=stages``."""
    linked_tasks: Include[dict[str, Any]] | None = None
    """Only with ``with=linked_tasks``."""
    assets: Include[Asset] | None = None
    """Only with ``with=assets``."""
    permissions: Any = None
    """Only with ``with=permissions``; its shape is not published."""
    member_watchers: Any = None
    guest_watchers: Any = None
    summary: str | None = None
    guidance: str | None = None
    """Instructions shown before launch."""
    icon: str | None = None
    webhook: str | None = None
    explanation_video: str | None = None
    kickoff_title: str | None = None
    kickoff_description: str | None = None
    is_public: bool | None = None
    is_featured: bool | None = None
    public_cover: str | None = None
    is_public_kickoff: bool | None = None
    default_process_name_format: str | None = None
    auto_naming: bool | None = None
    dual_version_enabled: bool | None = None
    """Draft/published mode."""
    folderize_process: bool | None = None
    """Launcher must choose a folder."""
    tag_process: bool | None = None
    """Launcher must choose a tag."""
    allow_launcher_change_name: bool | None = None
    is_pinned: bool | None = None
    default_folder: str | None = None
    folder_changeable_by_launcher: bool | None = None
    can_add_oot: bool | None = None
    """one-off tasks may be added to its processes."""


@frozen(kw_only=True, repr=False)
class ChecklistFormFields(Model):
    """List all form fields of a template (contract: ChecklistFormFields)."""

    id: Id
    title: str
    form_fields: tuple[Capture, ...] | None = None
    """Fields of every step."""
    ko_form_fields: tuple[Prerun, ...] | None = None
    """Fields of the kick-off form."""


@frozen(kw_only=True, repr=False)
class DeletedReference(Model):
    """Name an object whose text embedded a template and lost that block (contract: DeletedReference)."""

    id: Id | None = None
    type: str | None = None
    """Blueprint or Step."""
    title: str | None = None


@frozen(kw_only=True, repr=False)
class ChecklistArchived(Model):
    """Say what the archiving of a template took with it (contract: ChecklistArchived)."""

    message: str | None = None
    deleted_references: tuple[DeletedReference, ...] | None = None
    """Objects that lost an embedded block for good: restoring the template does not put it back."""
