"""Full-text search: what is found, and conditions that narrow it."""

from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from attrs import frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.base import Model
from tallyfy_async.models.owners import Owners
from tallyfy_async.models.tags import TagAssociation
from tallyfy_async.protocol.converter import Id, Include, MemberId

OPERATIONS = ("=", "<>", "!=", "<", ">", "<=", ">=")


@frozen(kw_only=True, repr=False)
class SearchHit(Model):
    """Describe what was found, of whatever kind (contract: SearchItem)."""

    id: Id
    increment_id: MemberId | None = None
    organization_id: Id | None = None
    type: str | None = None
    tags: Include[TagAssociation] | None = None
    """Only where tags were asked for."""


@frozen(kw_only=True, repr=False)
class ProcessHit(SearchHit):
    """Describe a process that was found."""

    name: str | None = None
    status: str | None = None
    due_date_passed: bool | None = None
    due_soon: bool | None = None
    starter_id: MemberId | None = None
    created_at: datetime | None = None
    folders: tuple[dict[str, Any], ...] | None = None


@frozen(kw_only=True, repr=False)
class BlueprintHit(SearchHit):
    """Describe a template that was found."""

    title: str | None = None
    status: str | None = None
    steps_count: int | None = None
    icon: str | None = None
    is_public: bool | None = None
    is_featured: bool | None = None
    starter_id: MemberId | None = None
    created_at: datetime | None = None
    folders: tuple[dict[str, Any], ...] | None = None


@frozen(kw_only=True, repr=False)
class TaskHit(SearchHit):
    """Describe a task that was found; ``tasks.get(hit.id)`` tells its run."""

    title: str | None = None
    status: str | None = None
    status_label: str | None = None
    position: int | None = None
    deadline: datetime | None = None
    created_at: datetime | None = None
    starter_id: MemberId | None = None
    is_oneoff_task: bool | None = None
    owners: Owners | None = None
    run_id: Id | None = None
    """Never there so far."""


@frozen(kw_only=True, repr=False)
class SnippetHit(SearchHit):
    """Describe a snippet that was found."""

    title: str | None = None
    content: str | None = None


@frozen
class Where:
    """One condition of a search, such as ``Where("title", "=", "Onboarding")``; join several with ``&`` and ``|``.

    Attributes:
        field: for templates and processes starter, date, title or description; for tasks starter or title.
        operation: ``= <> != < > <= >=``.
        value: what the field is compared with; aware datetimes go out in UTC.

    Raises ConfigurationError for another operation and for an empty field. The server refuses a field that it does not
    know and names those that it does (contract: search).

    """

    field: str
    operation: str
    value: str | float | bool | date

    def __attrs_post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            msg = f"a search has no operation {self.operation!r}: use one of {' '.join(OPERATIONS)}"
            raise ConfigurationError(msg)
        name: Any = self.field
        if not isinstance(name, str) or not name.strip():
            msg = "a search condition needs the name of a field, such as Where('title', '=', 'Onboarding')"
            raise ConfigurationError(msg)
        value: Any = self.value
        if not isinstance(value, str | int | float | date):
            msg = f"a search compares with str, int, float, bool, date or datetime, not {type(value).__name__}"
            raise ConfigurationError(msg)

    def __and__(self, other: "SearchCondition") -> "WhereGroup":
        return WhereGroup.joined("AND", self, other)

    def __or__(self, other: "SearchCondition") -> "WhereGroup":
        return WhereGroup.joined("OR", self, other)

    def as_query(self) -> dict[str, Any]:
        """Return the condition in the words of the query string."""
        return {"type": "field", "field": self.field, "operation": self.operation, "value": self.value}


@frozen
class WhereGroup:
    """Conditions that hold all together (AND), or one of which is enough (OR). Made by ``&`` and ``|``."""

    operator: Literal["AND", "OR"]
    parts: tuple["SearchCondition", ...]

    @classmethod
    def joined(cls, operator: Literal["AND", "OR"], *conditions: "SearchCondition") -> "WhereGroup":
        """Return a group of these conditions; a group of the same operator is taken apart."""
        parts: list[SearchCondition] = []
        for one in conditions:
            parts += one.parts if isinstance(one, WhereGroup) and one.operator == operator else (one,)
        return cls(operator, tuple(parts))

    def __and__(self, other: "SearchCondition") -> "WhereGroup":
        return WhereGroup.joined("AND", self, other)

    def __or__(self, other: "SearchCondition") -> "WhereGroup":
        return WhereGroup.joined("OR", self, other)

    def as_query(self) -> list[Any]:
        """Return the group in the words of the query string.

        The operator comes first: without it, the server uses the first condition only (contract: search).
        """
        return [{"type": "boolean", "value": self.operator}, *(part.as_query() for part in self.parts)]


SearchCondition: TypeAlias = Where | WhereGroup
"""What a search can be narrowed by."""
