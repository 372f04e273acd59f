"""What an organization is made of: the list of each kind, and what is kept of a row beside its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from attrs import field, frozen

from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.protocol.dates import parse_response
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.checklists import LIST as LIST_CHECKLISTS
from tallyfy_async.resources.custom_fields import LIST as LIST_CUSTOM_FIELDS
from tallyfy_async.resources.folders import LIST as LIST_FOLDERS
from tallyfy_async.resources.groups import LIST as LIST_GROUPS
from tallyfy_async.resources.guests import LIST as LIST_GUESTS
from tallyfy_async.resources.organizations import GET as GET_ORGANIZATION
from tallyfy_async.resources.roles import LIST as LIST_ROLES
from tallyfy_async.resources.runs import LIST as LIST_RUNS
from tallyfy_async.resources.tags import LIST as LIST_TAGS
from tallyfy_async.resources.tasks import LIST as LIST_TASKS
from tallyfy_async.resources.users import LIST as LIST_USERS

_STAMPS = ("last_updated", "updated_at")


def _no_words() -> Mapping[str, str]:
    return {}


@frozen(kw_only=True)
class Kind:
    """One kind of record.

    Attributes:
        name: of its table or file.
        operation: the list, or the read where there is one record only.
        query: what the list is asked for beside pages.
        newest_first: what is asked for besides, so that the rows changed last come first; empty where nothing does.
        keys: where a row's id stands, the first of them that it has.
        columns: what SQLite keeps in columns beside the JSON.
        single: whether there is one record only.
        optional: whether a server may lack the route.

    """

    name: str
    operation: Operation
    query: Mapping[str, str] = field(factory=_no_words)
    newest_first: Mapping[str, str] = field(factory=_no_words)
    keys: tuple[str, ...] = ("id",)
    columns: tuple[str, ...] = ()
    single: bool = False
    optional: bool = False


@frozen
class Row:
    """One record: its id, and the JSON object as it came."""

    id: str
    data: Mapping[str, Any]


KINDS = (
    Kind(name="organization", operation=GET_ORGANIZATION, columns=("name", "slug", "last_updated"), single=True),
    Kind(
        name="users",
        operation=LIST_USERS,
        query={"with": "groups"},
        columns=("email", "first_name", "last_name", "role", "status", "created_at", "last_updated", "updated_at"),
    ),
    Kind(name="guests", operation=LIST_GUESTS, keys=("email",), columns=("first_name", "last_name", "created_at")),
    Kind(name="groups", operation=LIST_GROUPS, columns=("name", "created_at", "last_updated")),
    Kind(name="roles", operation=LIST_ROLES, columns=("name", "created_at", "updated_at"), optional=True),
    Kind(name="tags", operation=LIST_TAGS, query={"all": "true"}, columns=("title", "color", "created_at")),
    Kind(
        name="custom_fields",
        operation=LIST_CUSTOM_FIELDS,
        keys=("id", "key"),
        columns=("key", "applies_to", "field_type"),
        optional=True,
    ),
    Kind(
        name="checklist_folders",
        operation=LIST_FOLDERS,
        query={"folder_type": "checklist"},
        columns=("name", "parent_id", "created_at"),
    ),
    Kind(
        name="run_folders",
        operation=LIST_FOLDERS,
        query={"folder_type": "run"},
        columns=("name", "parent_id", "created_at"),
    ),
    Kind(
        name="checklists",
        operation=LIST_CHECKLISTS,
        query={"archived": "true", "with": "steps,tags", "sort_by": "created_at"},
        columns=("title", "status", "owner_id", "folder_id", "created_at", "last_updated", "archived_at"),
    ),
    Kind(
        name="runs",
        operation=LIST_RUNS,
        query={"archived": "true", "with": "tags,folders,assets", "sort": "created_at"},
        newest_first={"sort": "-updated_at"},
        columns=(
            *("name", "status", "checklist_id", "owner_id", "created_at", "last_updated"),
            *("due_date", "completed_at", "archived_at"),
        ),
    ),
    Kind(
        name="tasks",
        operation=LIST_TASKS,
        query={"archived": "true", "with": "form_fields,threads,tags,assets,summary", "sort": "-newest"},
        columns=(
            *("title", "status", "task_type", "run_id", "checklist_id", "step_id", "created_at", "last_updated"),
            *("deadline", "completed_at", "archived_at"),
        ),
    ),
)
"""In the order in which they are begun; all are read at the same time. Sorted by age, so that what is new comes last.

Steps with their fields come with ``checklists``, comments and answers with ``tasks``, which holds the tasks of runs and
the one-off ones (contract: list_checklists, list_tasks).
"""

NAMES = tuple(kind.name for kind in KINDS)


def chosen(names: Iterable[str] | None) -> tuple[Kind, ...]:
    """Return the kinds of these names, all of them for None; raise ConfigurationError for an unknown or missing one."""
    if names is None:
        return KINDS
    try:
        wanted = {names} if isinstance(names, str) else set(names)
    except TypeError:
        msg = f"kinds must be names among {', '.join(NAMES)}"
        raise ConfigurationError(msg) from None
    if unknown := sorted(map(repr, wanted - set(NAMES))):
        msg = f"kinds: {', '.join(unknown)} is not among {', '.join(NAMES)}"
        raise ConfigurationError(msg)
    if not wanted:
        msg = "kinds must name at least one kind; leave it out for all of them"
        raise ConfigurationError(msg)
    return tuple(kind for kind in KINDS if kind.name in wanted)


def row_of(kind: Kind, item: Any, path: str) -> Row:
    """Return a row of a reply; raise DecodeError where it is no object or has no id."""
    if not isinstance(item, dict):
        msg = f"{path} is {type(item).__name__}, not an object"
        raise DecodeError(msg, path=path)
    data = cast("dict[str, Any]", item)
    for key in kind.keys:
        value = data.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return Row(str(value), data)
    msg = f"{path} lacks {' and '.join(kind.keys)}: a row without id cannot be exported"
    raise DecodeError(msg, path=path)


def changed_at(row: Row) -> datetime | None:
    """Return when the server says that a row was changed last, None where it does not or in unknown words."""
    for name in _STAMPS:
        value = row.data.get(name)
        if isinstance(value, str) and value:
            with suppress(DecodeError):
                return parse_response(value, path=name)
    return None
