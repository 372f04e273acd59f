"""Models of what the API answers, and the inputs that it takes. Everything is loaded when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallyfy_async.models.accounts import PasswordReset, Registration
    from tallyfy_async.models.activity import ActivityActor, ActivityFeedItem
    from tallyfy_async.models.automations import (
        AutomatedAction,
        AutomatedActionCreate,
        AutomatedActionUpdate,
        AutomationAction,
        AutomationActionInput,
        AutomationAssignees,
        AutomationAssigneesInput,
        AutomationCondition,
        AutomationConditionInput,
        AutomationDeadline,
        AutomationDeadlineInput,
    )
    from tallyfy_async.models.base import Model
    from tallyfy_async.models.custom_fields import CustomFieldKey, CustomFieldKeyCreate
    from tallyfy_async.models.fields import (
        Capture,
        CaptureCreate,
        CaptureUpdate,
        ColumnInput,
        FieldColumn,
        FieldOption,
        FormField,
        OptionInput,
        Prerun,
        PrerunCreate,
        PrerunInput,
        PrerunUpdate,
    )
    from tallyfy_async.models.files import Asset, AssetSubject, FileUpload
    from tallyfy_async.models.filters import (
        ActivityFilters,
        ChecklistFilters,
        CustomFieldKeyFilters,
        FolderFilters,
        GroupFilters,
        GuestFilters,
        GuestTaskFilters,
        MyTaskFilters,
        RunFilters,
        RunTaskFilters,
        TagFilters,
        TaskFilters,
        UserFilters,
        UserTaskFilters,
    )
    from tallyfy_async.models.folders import Folder, FolderCreate, FolderObject, FolderUpdate
    from tallyfy_async.models.forms import Form, KickoffAnswers, KickoffForm, TaskAnswers, TaskForm
    from tallyfy_async.models.groups import Group, GroupCreate, GroupReplace, GroupUpdate
    from tallyfy_async.models.guests import (
        Guest,
        GuestCreate,
        GuestDetails,
        GuestStats,
        GuestSummary,
        GuestTask,
        GuestTaskUpdate,
        GuestUpdate,
        ThreadCounts,
    )
    from tallyfy_async.models.identity import (
        ApplicationUser,
        ApplicationUserCreate,
        AutoArchiveAfter,
        Country,
        DefaultDeadline,
        GroupBrief,
        Organization,
        User,
        UserInvite,
        UserStats,
        UserSummary,
        UserUpdate,
    )
    from tallyfy_async.models.micro import MicroOwners, MicroTask, MicroTaskCreate
    from tallyfy_async.models.organizations import (
        Address,
        AddressInput,
        BillingAccount,
        BillingAccountUpdate,
        Branding,
        BrandingUpdate,
        DetermineDeadlineInput,
        OrganizationSettingsInput,
        OrganizationUpdate,
        SubscriptionUpdate,
    )
    from tallyfy_async.models.owners import GroupRef, GuestRef, Owners, OwnersInput, UserRef, WholeOwners
    from tallyfy_async.models.preferences import Preference, PreferenceInput, ProcessView, ProcessViewInput
    from tallyfy_async.models.processes import (
        Answers,
        NextTask,
        OneOffTaskReplace,
        OneOffTaskUpdate,
        Progress,
        Run,
        RunAlerts,
        RunFormFields,
        RunLaunch,
        RunReplace,
        RunUpdate,
        Task,
        TaskOverride,
        TaskUpdate,
    )
    from tallyfy_async.models.roles import Role, RoleCreate, RoleUpdate
    from tallyfy_async.models.search import (
        BlueprintHit,
        ProcessHit,
        SearchCondition,
        SearchHit,
        SnippetHit,
        TaskHit,
        Where,
        WhereGroup,
    )
    from tallyfy_async.models.tags import Tag, TagAssociation, TagCreate, TagRef, TagStatistics, TagUpdate
    from tallyfy_async.models.task_inputs import TaskCreate, TaskField, TaskFieldOption
    from tallyfy_async.models.template_inputs import (
        ChecklistCreate,
        ChecklistReplace,
        ChecklistUpdate,
        StepCreate,
        StepDeadlineInput,
        StepReplace,
        StepStartDateInput,
        StepUpdate,
    )
    from tallyfy_async.models.templates import (
        Checklist,
        ChecklistArchived,
        ChecklistFormFields,
        DeletedReference,
        Stage,
        Step,
        StepBpToLaunch,
        StepDeadline,
        StepStartDate,
    )
    from tallyfy_async.models.threads import Comment, CommentInput, ResolveInput
    from tallyfy_async.models.watchers import Watcher

_NAMES = """
accounts: PasswordReset Registration
activity: ActivityActor ActivityFeedItem
automations: AutomatedAction AutomatedActionCreate AutomatedActionUpdate AutomationAction AutomationActionInput
    AutomationAssignees AutomationAssigneesInput AutomationCondition AutomationConditionInput AutomationDeadline
    AutomationDeadlineInput
base: Model
custom_fields: CustomFieldKey CustomFieldKeyCreate
fields: Capture CaptureCreate CaptureUpdate ColumnInput FieldColumn FieldOption FormField OptionInput Prerun
    PrerunCreate PrerunInput PrerunUpdate
files: Asset AssetSubject FileUpload
filters: ActivityFilters ChecklistFilters CustomFieldKeyFilters FolderFilters GroupFilters GuestFilters
    GuestTaskFilters MyTaskFilters RunFilters RunTaskFilters TagFilters TaskFilters UserFilters UserTaskFilters
folders: Folder FolderCreate FolderObject FolderUpdate
forms: Form KickoffAnswers KickoffForm TaskAnswers TaskForm
groups: Group GroupCreate GroupReplace GroupUpdate
guests: Guest GuestCreate GuestDetails GuestStats GuestSummary GuestTask GuestTaskUpdate GuestUpdate ThreadCounts
identity: ApplicationUser ApplicationUserCreate AutoArchiveAfter Country DefaultDeadline GroupBrief Organization User
    UserInvite UserStats UserSummary UserUpdate
micro: MicroOwners MicroTask MicroTaskCreate
organizations: Address AddressInput BillingAccount BillingAccountUpdate Branding BrandingUpdate DetermineDeadlineInput
    OrganizationSettingsInput OrganizationUpdate SubscriptionUpdate
owners: GroupRef GuestRef Owners OwnersInput UserRef WholeOwners
preferences: Preference PreferenceInput ProcessView ProcessViewInput
processes: Answers NextTask OneOffTaskReplace OneOffTaskUpdate Progress Run RunAlerts RunFormFields RunLaunch
    RunReplace RunUpdate Task TaskOverride TaskUpdate
roles: Role RoleCreate RoleUpdate
search: BlueprintHit ProcessHit SearchCondition SearchHit SnippetHit TaskHit Where WhereGroup
tags: Tag TagAssociation TagCreate TagRef TagStatistics TagUpdate
task_inputs: TaskCreate TaskField TaskFieldOption
template_inputs: ChecklistCreate ChecklistReplace ChecklistUpdate StepCreate StepDeadlineInput StepReplace
    StepStartDateInput StepUpdate
templates: Checklist ChecklistArchived ChecklistFormFields DeletedReference Stage Step StepBpToLaunch StepDeadline
    StepStartDate
threads: Comment CommentInput ResolveInput
watchers: Watcher
"""
"""Module: its names."""
_PLACES = {
    name: line.partition(":")[0]
    for line in _NAMES.replace("\n    ", " ").strip().splitlines()
    for name in line.partition(":")[2].split()
}

__all__ = [
    "ActivityActor",
    "ActivityFeedItem",
    "ActivityFilters",
    "Address",
    "AddressInput",
    "Answers",
    "ApplicationUser",
    "ApplicationUserCreate",
    "Asset",
    "AssetSubject",
    "AutoArchiveAfter",
    "AutomatedAction",
    "AutomatedActionCreate",
    "AutomatedActionUpdate",
    "AutomationAction",
    "AutomationActionInput",
    "AutomationAssignees",
    "AutomationAssigneesInput",
    "AutomationCondition",
    "AutomationConditionInput",
    "AutomationDeadline",
    "AutomationDeadlineInput",
    "BillingAccount",
    "BillingAccountUpdate",
    "BlueprintHit",
    "Branding",
    "BrandingUpdate",
    "Capture",
    "CaptureCreate",
    "CaptureUpdate",
    "Checklist",
    "ChecklistArchived",
    "ChecklistCreate",
    "ChecklistFilters",
    "ChecklistFormFields",
    "ChecklistReplace",
    "ChecklistUpdate",
    "ColumnInput",
    "Comment",
    "CommentInput",
    "Country",
    "CustomFieldKey",
    "CustomFieldKeyCreate",
    "CustomFieldKeyFilters",
    "DefaultDeadline",
    "DeletedReference",
    "DetermineDeadlineInput",
    "FieldColumn",
    "FieldOption",
    "FileUpload",
    "Folder",
    "FolderCreate",
    "FolderFilters",
    "FolderObject",
    "FolderUpdate",
    "Form",
    "FormField",
    "Group",
    "GroupBrief",
    "GroupCreate",
    "GroupFilters",
    "GroupRef",
    "GroupReplace",
    "GroupUpdate",
    "Guest",
    "GuestCreate",
    "GuestDetails",
    "GuestFilters",
    "GuestRef",
    "GuestStats",
    "GuestSummary",
    "GuestTask",
    "GuestTaskFilters",
    "GuestTaskUpdate",
    "GuestUpdate",
    "KickoffAnswers",
    "KickoffForm",
    "MicroOwners",
    "MicroTask",
    "MicroTaskCreate",
    "Model",
    "MyTaskFilters",
    "NextTask",
    "OneOffTaskReplace",
    "OneOffTaskUpdate",
    "OptionInput",
    "Organization",
    "OrganizationSettingsInput",
    "OrganizationUpdate",
    "Owners",
    "OwnersInput",
    "PasswordReset",
    "Preference",
    "PreferenceInput",
    "Prerun",
    "PrerunCreate",
    "PrerunInput",
    "PrerunUpdate",
    "ProcessHit",
    "ProcessView",
    "ProcessViewInput",
    "Progress",
    "Registration",
    "ResolveInput",
    "Role",
    "RoleCreate",
    "RoleUpdate",
    "Run",
    "RunAlerts",
    "RunFilters",
    "RunFormFields",
    "RunLaunch",
    "RunReplace",
    "RunTaskFilters",
    "RunUpdate",
    "SearchCondition",
    "SearchHit",
    "SnippetHit",
    "Stage",
    "Step",
    "StepBpToLaunch",
    "StepCreate",
    "StepDeadline",
    "StepDeadlineInput",
    "StepReplace",
    "StepStartDate",
    "StepStartDateInput",
    "StepUpdate",
    "SubscriptionUpdate",
    "Tag",
    "TagAssociation",
    "TagCreate",
    "TagFilters",
    "TagRef",
    "TagStatistics",
    "TagUpdate",
    "Task",
    "TaskAnswers",
    "TaskCreate",
    "TaskField",
    "TaskFieldOption",
    "TaskFilters",
    "TaskForm",
    "TaskHit",
    "TaskOverride",
    "TaskUpdate",
    "ThreadCounts",
    "User",
    "UserFilters",
    "UserInvite",
    "UserRef",
    "UserStats",
    "UserSummary",
    "UserTaskFilters",
    "UserUpdate",
    "Watcher",
    "Where",
    "WhereGroup",
    "WholeOwners",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
