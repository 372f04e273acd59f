"""The rows of the sandbox's world, by noun. Moments are whole seconds since 1970 in UTC."""

from .base import JsonObject, is_list, is_object, whole
from .people import (
    Activity,
    CustomField,
    Group,
    Guest,
    Mail,
    Member,
    Preference,
    ProcessView,
    Role,
    User,
    Watcher,
)
from .templates import Action, Checklist, Condition, Field, Rule, Step
from .work import Asset, Event, Folder, Run, Tag, Task, Thread

__all__ = [
    "Action",
    "Activity",
    "Asset",
    "Checklist",
    "Condition",
    "CustomField",
    "Event",
    "Field",
    "Folder",
    "Group",
    "Guest",
    "JsonObject",
    "Mail",
    "Member",
    "Preference",
    "ProcessView",
    "Role",
    "Rule",
    "Run",
    "Step",
    "Tag",
    "Task",
    "Thread",
    "User",
    "Watcher",
    "is_list",
    "is_object",
    "whole",
]
