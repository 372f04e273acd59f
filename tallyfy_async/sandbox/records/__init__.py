"""The rows of the sandbox's world, by noun. Moments are whole seconds since 1970 in UTC."""

from .base import JsonObject, is_list, is_object
from .people import Group, Member, User
from .templates import Checklist, Field, Step
from .work import Run, Tag, Task

__all__ = [
    "Checklist",
    "Field",
    "Group",
    "JsonObject",
    "Member",
    "Run",
    "Step",
    "Tag",
    "Task",
    "User",
    "is_list",
    "is_object",
]
