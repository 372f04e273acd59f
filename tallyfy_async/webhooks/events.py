"""Webhooks as events: told apart by shape, with the key by which a repetition is known."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, NoReturn, TypeVar, cast

from attrs import evolve, field, frozen

from tallyfy_async.errors import DecodeError
from tallyfy_async.protocol.converter import structure
from tallyfy_async.webhooks.payloads import OrganizationPayload, ProcessPayload, TaskPayload
from tallyfy_async.webhooks.refusals import Refusal, refusal

P = TypeVar("P", TaskPayload, ProcessPayload, OrganizationPayload)

_PLAIN: Final = re.compile(r"[A-Za-z0-9@._+-]{1,128}")
_MOST_UNREAD: Final = 20
_DEEPEST: Final = 100


@frozen(kw_only=True)
class Event(Generic[P]):
    """Something that happened in an organization.

    Attributes:
        payload: what was delivered.
        organization: id of the organization whose webhook it is, which was checked.
        polled: whether it was found by :func:`catch_up`; then the payload has what the API's lists give, and no more.
        unread: place in the payload -> JSON value, of what did not fit its type and was left out of ``payload``. A
            webhook comes once, so a surprise in one member must not cost the others.

    """

    kind: ClassVar[str]

    payload: P
    organization: str
    polled: bool = False
    unread: Mapping[str, Any] = field(factory=dict[str, Any], hash=False, repr=lambda unread: repr(sorted(unread)))

    @property
    def extra(self) -> Mapping[str, Any]:
        """What the payload holds beyond the model's attributes."""
        return self.payload.extra

    def to_dict(self) -> dict[str, Any]:
        """Return the payload's JSON object again, but for what is in ``unread``."""
        return self.payload.to_dict()

    @property
    def subject(self) -> str:
        """What it is about, as a text: the same for every completion of one task."""
        return f"{_safe(self.organization)}/{self._about()}"

    @property
    def moment(self) -> datetime | None:
        """When it happened, None where the payload does not tell."""
        return None

    @property
    def order(self) -> int | None:
        """The moment in whole seconds since 1970, which is as exact as webhooks are; None without a moment."""
        moment = self.moment
        return None if moment is None else int(moment.timestamp())

    def _about(self) -> str:
        raise NotImplementedError

    def digest(self) -> str:
        """Return a digest of the payload."""
        return _sha(json.dumps([self.to_dict(), dict(self.unread)], sort_keys=True, separators=(",", ":")))


@frozen(kw_only=True)
class TaskCompleted(Event[TaskPayload]):
    """A task was completed: of a run, or one-off."""

    kind = "task.completed"

    @property
    def task_id(self) -> str:
        """The task."""
        return self.payload.this_task.id

    @property
    def alias(self) -> str | None:
        """The task's alias, which stays the same from run to run."""
        return self.payload.this_task.alias

    @property
    def process_id(self) -> str | None:
        """The run, None of a one-off task."""
        return None if self.payload.process is None else self.payload.process.id

    @property
    def checklist_id(self) -> str | None:
        """The template of the run."""
        return None if self.payload.template is None else self.payload.template.id

    @property
    def moment(self) -> datetime | None:
        """When it was completed."""
        return self.payload.this_task.completed_at

    def _about(self) -> str:
        return f"task/{_safe(self.task_id)}"


@frozen(kw_only=True)
class _ProcessEvent(Event[ProcessPayload]):
    @property
    def process_id(self) -> str:
        """The run."""
        return self.payload.id

    @property
    def checklist_id(self) -> str | None:
        """The template of the run."""
        return self.payload.checklist_id

    def _about(self) -> str:
        return f"{self.kind.replace('.', '/')}/{_safe(self.process_id)}"


@frozen(kw_only=True)
class ProcessLaunched(_ProcessEvent):
    """A run was launched: comes once."""

    kind = "process.launched"

    @property
    def moment(self) -> datetime | None:
        """When it was launched."""
        return self.payload.started_at or self.payload.created_at


@frozen(kw_only=True)
class ProcessCompleted(_ProcessEvent):
    """All tasks of a run are done; comes again when one was reopened and completed."""

    kind = "process.completed"

    @property
    def moment(self) -> datetime | None:
        """When it was completed."""
        return self.payload.completed_at


@frozen(kw_only=True)
class OrganizationEvent(Event[OrganizationPayload]):
    """What an organization-wide subscription delivers, beside the webhooks of templates and tasks."""

    kind = "organization"

    @property
    def event(self) -> str:
        """The event's name, such as ``task.comment_added``."""
        return self.payload.event

    def _about(self) -> str:
        return f"event/{_safe(self.event)}/{self.digest()}"


AnyEvent = TaskCompleted | ProcessLaunched | ProcessCompleted | OrganizationEvent


def dedupe_key(event: AnyEvent) -> str:
    """Return the text by which a repetition of an event is known, within its organization.

    Of a task its id and ``completed_at`` to the second, as webhooks have it: a webhook and the same completion found by
    polling are one. Of a launch the run's id; of a completed run id and ``completed_at``; of everything else, and where
    there is no ``completed_at``, a digest of the body (contract: x-dedup-key).
    """
    if isinstance(event, ProcessLaunched | OrganizationEvent):
        return event.subject
    order = event.order
    return f"{event.subject}/{event.digest() if order is None else order}"


def parse_event(body: bytes | bytearray | str | Mapping[str, Any], *, organization: str) -> AnyEvent:
    """Read a webhook's body, JSON text or decoded, into the event that it is.

    Kinds are told apart by shape: ``event`` is an organization's event, ``this_task`` a completed task, anything else
    with the members of a run a launch, or its completion where ``completed_at`` is set (contract: webhooks). Raises
    WebhookError of kind ``malformed`` for what is no JSON object, is nested deeper than 100 levels, has no known shape,
    or lacks the members that tell what it is about.
    """
    if isinstance(body, Mapping):
        payload = dict(body)
        _check_depth(payload)
    else:
        payload = _decoded(body)
    if "event" in payload:
        read, unread = _read(payload, OrganizationPayload, {"event"})
        return OrganizationEvent(payload=read, organization=organization, unread=unread)
    if "this_task" in payload:
        task, unread = _read(payload, TaskPayload, {"this_task", "this_task.id", "this_task.completed_at"})
        return TaskCompleted(payload=task, organization=organization, unread=unread)
    if not payload.keys() >= {"id", "name", "checklist_id"}:
        raise refusal(Refusal.MALFORMED, "the body has the shape of no known webhook")
    run, unread = _read(payload, ProcessPayload, {"id", "completed_at"})
    kind = ProcessLaunched if run.completed_at is None else ProcessCompleted
    return kind(payload=run, organization=organization, unread=unread)


def as_polled(event: AnyEvent) -> AnyEvent:
    """Return an event marked as found by polling."""
    return evolve(event, polled=True)


def _decoded(body: bytes | bytearray | str) -> dict[str, Any]:
    text, payload = "", None
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body), "surrogatepass")
        payload = _DECODER.decode(text)
    except (ValueError, RecursionError):  # its words and its context would show the body
        pass
    if type(payload) is not dict:
        raise refusal(Refusal.MALFORMED, "the body is no JSON object")
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(payload)
    return cast("dict[str, Any]", payload)


def _no_number(_: str) -> NoReturn:
    raise ValueError


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)


def _check_depth(payload: Any) -> None:
    """Refuse what is nested so deeply that writing or hashing it would exhaust the stack of whoever tries."""
    level: list[Any] = [payload]
    for _ in range(_DEEPEST):
        level = [one for holder in level for one in _members(holder) if isinstance(one, dict | list)]
        if not level:
            return
    raise refusal(Refusal.MALFORMED, "the body is nested too deeply")


def _members(holder: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return holder.values() if isinstance(holder, dict) else holder


def _read(payload: dict[str, Any], kind: type[P], needed: set[str]) -> tuple[P, Mapping[str, Any]]:
    """Structure a payload, without the members that do not fit unless they are needed."""
    unread: dict[str, Any] = {}
    problem = ""
    while len(unread) < _MOST_UNREAD:
        try:
            return structure(payload, kind), unread
        except DecodeError as error:
            problem, path = str(error), _member(error.path, payload)
        if path in needed or not path:
            break
        payload = _without(payload, path, unread)
    raise refusal(Refusal.MALFORMED, problem)


def _member(path: str, payload: Mapping[str, Any]) -> str:
    """Return the member that a place in the payload belongs to: of ``this_task`` and ``process`` one of their own."""
    names = [name for name in re.split(r"[.\[]", path.removeprefix("body")) if name]
    nested = len(names) > 1 and names[0] in {"this_task", "process"} and type(payload.get(names[0])) is dict
    return ".".join(names[: 2 if nested else 1])


def _without(payload: dict[str, Any], path: str, unread: dict[str, Any]) -> dict[str, Any]:
    name, _, inner = path.partition(".")
    if not inner:
        unread[path] = payload.get(name)
        return {key: value for key, value in payload.items() if key != name}
    unread[path] = payload[name].get(inner)
    return {**payload, name: {key: value for key, value in payload[name].items() if key != inner}}


def _safe(text: str) -> str:
    """Return an id as it is, or a digest of one that is no plain word, so that keys are short and cannot collide."""
    return text if _PLAIN.fullmatch(text) else f"~{_sha(text)}"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
