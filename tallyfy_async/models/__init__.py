"""Models of what the API answers, and the inputs that it takes. Everything is loaded when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallyfy_async.models.automations import (
        AutomatedAction,
        AutomationAction,
        AutomationAssignees,
        AutomationCondition,
        AutomationDeadline,
    )
    from tallyfy_async.models.base import Model
    from tallyfy_async.models.fields import Capture, FieldColumn, FieldOption, FormField, Prerun
    from tallyfy_async.models.files import Asset, AssetSubject
    from tallyfy_async.models.filters import (
        ChecklistFilters,
        MyTaskFilters,
        RunFilters,
        RunTaskFilters,
        TaskFilters,
        UserFilters,
    )
    from tallyfy_async.models.folders import Folder
    from tallyfy_async.models.identity import (
        ApplicationUser,
        ApplicationUserCreate,
        AutoArchiveAfter,
        Country,
        DefaultDeadline,
        GroupBrief,
        Organization,
        User,
        UserStats,
    )
    from tallyfy_async.models.owners import GroupRef, GuestRef, Owners, OwnersInput, UserRef, WholeOwners
    from tallyfy_async.models.processes import (
        Answers,
        NextTask,
        OneOffTaskUpdate,
        Progress,
        Run,
        RunAlerts,
        RunLaunch,
        RunUpdate,
        Task,
        TaskOverride,
        TaskUpdate,
    )
    from tallyfy_async.models.tags import TagAssociation, TagRef
    from tallyfy_async.models.templates import Checklist, Stage, Step, StepBpToLaunch, StepDeadline, StepStartDate
    from tallyfy_async.models.threads import Comment

_PLACES = {
    "Answers": "processes",
    "Asset": "files",
    "AssetSubject": "files",
    "ApplicationUser": "identity",
    "ApplicationUserCreate": "identity",
    "AutoArchiveAfter": "identity",
    "AutomatedAction": "automations",
    "AutomationAction": "automations",
    "AutomationAssignees": "automations",
    "AutomationCondition": "automations",
    "AutomationDeadline": "automations",
    "Capture": "fields",
    "Checklist": "templates",
    "ChecklistFilters": "filters",
    "Comment": "threads",
    "Country": "identity",
    "DefaultDeadline": "identity",
    "FieldColumn": "fields",
    "FieldOption": "fields",
    "Folder": "folders",
    "FormField": "fields",
    "GroupBrief": "identity",
    "GroupRef": "owners",
    "GuestRef": "owners",
    "Model": "base",
    "MyTaskFilters": "filters",
    "NextTask": "processes",
    "OneOffTaskUpdate": "processes",
    "Organization": "identity",
    "Owners": "owners",
    "OwnersInput": "owners",
    "Prerun": "fields",
    "Progress": "processes",
    "Run": "processes",
    "RunAlerts": "processes",
    "RunFilters": "filters",
    "RunLaunch": "processes",
    "RunTaskFilters": "filters",
    "RunUpdate": "processes",
    "Stage": "templates",
    "Step": "templates",
    "StepBpToLaunch": "templates",
    "StepDeadline": "templates",
    "StepStartDate": "templates",
    "TagAssociation": "tags",
    "TagRef": "tags",
    "Task": "processes",
    "TaskFilters": "filters",
    "TaskOverride": "processes",
    "TaskUpdate": "processes",
    "User": "identity",
    "UserFilters": "filters",
    "UserRef": "owners",
    "UserStats": "identity",
    "WholeOwners": "owners",
}

__all__ = [
    "Answers",
    "ApplicationUser",
    "ApplicationUserCreate",
    "Asset",
    "AssetSubject",
    "AutoArchiveAfter",
    "AutomatedAction",
    "AutomationAction",
    "AutomationAssignees",
    "AutomationCondition",
    "AutomationDeadline",
    "Capture",
    "Checklist",
    "ChecklistFilters",
    "Comment",
    "Country",
    "DefaultDeadline",
    "FieldColumn",
    "FieldOption",
    "Folder",
    "FormField",
    "GroupBrief",
    "GroupRef",
    "GuestRef",
    "Model",
    "MyTaskFilters",
    "NextTask",
    "OneOffTaskUpdate",
    "Organization",
    "Owners",
    "OwnersInput",
    "Prerun",
    "Progress",
    "Run",
    "RunAlerts",
    "RunFilters",
    "RunLaunch",
    "RunTaskFilters",
    "RunUpdate",
    "Stage",
    "Step",
    "StepBpToLaunch",
    "StepDeadline",
    "StepStartDate",
    "TagAssociation",
    "TagRef",
    "Task",
    "TaskFilters",
    "TaskOverride",
    "TaskUpdate",
    "User",
    "UserFilters",
    "UserRef",
    "UserStats",
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
