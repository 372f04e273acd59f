"""Handlers and what they want to hear of."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

from attrs import field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.webhooks.events import (
    AnyEvent,
    OrganizationEvent,
    ProcessCompleted,
    ProcessLaunched,
    TaskCompleted,
    dedupe_key,
)

E = TypeVar("E", bound=AnyEvent)

Strategy = Literal["every", "first", "latest"]
"""What counts as a repetition where a task or a run is completed again after it was reopened: ``every`` completion is
handled once; the ``first`` one only; or the ``latest``, so that one that arrives after a newer one is dropped."""

Handler: TypeAlias = Callable[[E], Awaitable[object]]
Decorator: TypeAlias = Callable[[Handler[E]], Handler[E]]

_STRATEGIES: Final = frozenset({"every", "first", "latest"})


@frozen(kw_only=True, eq=False)
class Route:
    """A handler and what it wants to hear of.

    Attributes:
        name: begins its keys in the dedupe store, so it must stay the same from start to start.
        handler: the function.
        kinds: classes of events.
        wanted: attribute of the event -> value that it must have.
        strategy: what counts as a repetition.
        deadline: seconds for one event.

    """

    name: str
    handler: Callable[[Any], Awaitable[object]] = field(repr=False)
    kinds: tuple[type, ...]
    wanted: Mapping[str, str]
    strategy: Strategy
    deadline: float

    def wants(self, event: AnyEvent) -> bool:
        """Tell whether the handler wants to hear of an event."""
        if not isinstance(event, self.kinds):
            return False
        return all(getattr(event, name, None) == value for name, value in self.wanted.items())

    def key(self, event: AnyEvent) -> tuple[str, int]:
        """Return the key and the order by which the store knows the event, for this handler alone."""
        if self.strategy == "first":
            return f"{self.name}|{event.subject}", 0
        if self.strategy == "latest" and event.order is not None:
            return f"{self.name}|{event.subject}", event.order
        return f"{self.name}|{dedupe_key(event)}", 0


class Handlers:
    """The decorators that register handlers: ``on = dispatcher.on``, then ``@on.task_completed(alias="review")``.

    A handler is an asynchronous function of one argument, the event. Arguments of the decorators narrow what it hears
    of; ``None`` does not. All of them take ``organization``, where one receiver serves several; ``deadline``, seconds
    for one event, after which the handler is cancelled; and ``name``, by which the dedupe store knows the handler: by
    default its module and qualified name, so give one where that changes from start to start. They raise
    ConfigurationError for a function that is not asynchronous, a name that is taken and arguments that cannot work.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = checked_deadline(deadline)
        self._routes: list[Route] = []

    def matching(self, event: AnyEvent, name: str | None = None) -> list[Route]:
        """Return the routes that want an event, or the one of a name."""
        return [route for route in self._routes if (name is None or name == route.name) and route.wants(event)]

    def task_completed(
        self,
        *,
        alias: str | None = None,
        checklist_id: str | None = None,
        organization: str | None = None,
        strategy: Strategy = "every",
        deadline: float | None = None,
        name: str | None = None,
    ) -> Decorator[TaskCompleted]:
        """Hear of completed tasks: those of an ``alias``, of the runs of a template."""
        wanted = {"alias": alias, "checklist_id": checklist_id, "organization": organization}
        return self._decorator((TaskCompleted,), wanted, strategy, deadline, name)

    def process_launched(
        self,
        *,
        checklist_id: str | None = None,
        organization: str | None = None,
        deadline: float | None = None,
        name: str | None = None,
    ) -> Decorator[ProcessLaunched]:
        """Hear of launched runs, those of a template."""
        wanted = {"checklist_id": checklist_id, "organization": organization}
        return self._decorator((ProcessLaunched,), wanted, "every", deadline, name)

    def process_completed(
        self,
        *,
        checklist_id: str | None = None,
        organization: str | None = None,
        strategy: Strategy = "every",
        deadline: float | None = None,
        name: str | None = None,
    ) -> Decorator[ProcessCompleted]:
        """Hear of completed runs, those of a template."""
        wanted = {"checklist_id": checklist_id, "organization": organization}
        return self._decorator((ProcessCompleted,), wanted, strategy, deadline, name)

    def organization_event(
        self,
        event: str | None = None,
        *,
        organization: str | None = None,
        deadline: float | None = None,
        name: str | None = None,
    ) -> Decorator[OrganizationEvent]:
        """Hear of what an organization-wide subscription delivers, such as ``task.comment_added``."""
        wanted = {"event": event, "organization": organization}
        return self._decorator((OrganizationEvent,), wanted, "every", deadline, name)

    def any(
        self, *, organization: str | None = None, deadline: float | None = None, name: str | None = None
    ) -> Decorator[AnyEvent]:
        """Hear of everything."""
        kinds = (TaskCompleted, ProcessLaunched, ProcessCompleted, OrganizationEvent)
        return self._decorator(kinds, {"organization": organization}, "every", deadline, name)

    def _decorator(
        self,
        kinds: tuple[type, ...],
        wanted: Mapping[str, str | None],
        strategy: Strategy,
        deadline: float | None,
        name: str | None,
    ) -> Decorator[Any]:
        if strategy not in _STRATEGIES:
            msg = f"strategy must be one of {', '.join(sorted(_STRATEGIES))}"
            raise ConfigurationError(msg)

        def register(handler: Handler[Any]) -> Handler[Any]:
            _check_asynchronous(handler)
            route = Route(
                name=_name(handler) if name is None else name,
                handler=handler,
                kinds=kinds,
                wanted={key: value for key, value in wanted.items() if value is not None},
                strategy=strategy,
                deadline=self._deadline if deadline is None else checked_deadline(deadline),
            )
            self._add(route)
            return handler

        return register

    def _add(self, route: Route) -> None:
        if not route.name or any(route.name == other.name for other in self._routes):
            msg = f"there is a handler {route.name!r} already: give this one a name of its own, as in name={'other'!r}"
            raise ConfigurationError(msg)
        self._routes.append(route)


def checked_deadline(seconds: float) -> float:
    """Return the seconds; raise ConfigurationError where a handler could hang for ever, or not begin."""
    if not 0 < seconds < math.inf:
        msg = "a deadline is a number of seconds above 0"
        raise ConfigurationError(msg)
    return seconds


def _check_asynchronous(handler: Any) -> None:
    bare = _bare(handler)
    if not inspect.iscoroutinefunction(bare) and not inspect.iscoroutinefunction(getattr(bare, "__call__", None)):  # noqa: B004
        msg = "a handler is an asynchronous function: async def handle(event): …"
        raise ConfigurationError(msg)


def _bare(handler: Any) -> Any:
    """Return the function, or the object that is called like one, within partial applications."""
    while _is_partial(handler):
        handler = handler.func
    return handler


def _is_partial(handler: Any) -> bool:
    return isinstance(handler, functools.partial)


def _name(handler: Any) -> str:
    bare = _bare(handler)
    return f"{bare.__module__}.{getattr(bare, '__qualname__', bare.__class__.__qualname__)}"
