"""Lists that change between any two replies, without a wire, and a destination in memory: for many runs in no time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from anyio import from_thread
from anyio.lowlevel import checkpoint
from attrs import define, evolve, field, frozen

from tallyfy_async import Organization, ServerError, fleet
from tallyfy_async.engine.plan import Call, Response
from tallyfy_async.export.kinds import Kind
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.fleet import FleetReport
from tallyfy_async.fleet.destinations.base import Batch, Begun, FleetPlan
from tallyfy_async.fleet.units import ListState, Unit, UnitMark
from tallyfy_async.protocol.response import Reply
from tallyfy_async.transport.clock import SystemClock

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Before any row was changed; the first one is created a second later."""
TAGS, RUNS = "list_tags", "list_runs"


def _nothing(_: str) -> None:
    """Let a reply go out as it is."""


@define(eq=False, kw_only=True)
class Lists:
    """Answers calls as an organization's pipeline does.

    Attributes:
        page: rows of a page.
        told: total that is told whatever there is, None for the true one.
        before: called with the operation before every reply; may change the rows, or raise.
        rows: operation -> its rows, the oldest first.
        asked: the operations in the order of their calls.

    """

    page: int = 2
    told: int | None = None
    before: Callable[[str], None] = _nothing
    rows: defaultdict[str, list[dict[str, str]]] = field(factory=lambda: defaultdict(list))
    asked: list[str] = field(factory=list)
    clock: SystemClock = field(factory=SystemClock)
    tokens: object = field(factory=object)
    unverified: None = None
    _moment: int = 0
    _born: int = 0

    def organization(self, name: str = "o") -> Organization:
        return Organization(self, name)  # type: ignore[arg-type]

    def create(self, name: str) -> str:
        self._born += 1
        self.rows[name].append({"id": f"{name}{self._born}", "last_updated": self._now()})
        return f"{name}{self._born}"

    def change(self, name: str, place: int) -> None:
        self.rows[name][place] = {**self.rows[name][place], "last_updated": self._now()}

    def ids(self, name: str) -> set[str]:
        return {row["id"] for row in self.rows[name]}

    def _now(self) -> str:
        self._moment += 1
        return (EPOCH + timedelta(seconds=self._moment)).isoformat()

    async def call(self, call: Call) -> Response:
        await checkpoint()
        name = call.operation.id
        self.asked.append(name)
        assert len(self.asked) < 2000, "it asks for ever"
        self.before(name)
        query = {key: values[0] for key, values in parse_qs(urlsplit(call.url).query).items()}
        payload = self._listing(name, int(query["page"]), newest_first=query.get("sort") == "-updated_at")
        await checkpoint()
        return Response(reply=Reply(status=200), payload=payload, attempts=1)

    def _listing(self, name: str, number: int, *, newest_first: bool) -> dict[str, Any]:
        rows = list(self.rows[name])
        if newest_first:
            rows.sort(key=lambda row: row["last_updated"], reverse=True)
        shown = rows[(number - 1) * self.page : number * self.page]
        pagination = {
            "total": len(rows) if self.told is None else self.told,
            "count": len(shown),
            "per_page": self.page,
            "current_page": number,
            "total_pages": max(1, -(-len(rows) // self.page)),
        }
        return {"data": shown, "meta": {"pagination": pagination}}


@define
class _List:
    state: ListState = field(factory=ListState)
    batches: list[Batch] = field(factory=list)
    report: KindReport | None = None
    message: str = ""


@define(eq=False)
class Memory:
    """A destination, with its ledger and its writer: what was committed is there at once.

    Attributes:
        tables: organization and kind -> id -> JSON.

    """

    tables: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = field(factory=dict)
    _plan: FleetPlan | None = None
    _begun: Begun | None = None
    _complete: bool = True
    _done: dict[str, ExportReport] = field(factory=dict)
    _lists: dict[tuple[str, str], _List] = field(factory=dict)

    def ledger(self) -> Memory:
        return self

    def writer(self) -> Memory:
        return self

    def begin(self, plan: FleetPlan) -> Begun:
        before = self._plan
        resumed = before is not None and plan.resume and not self._complete and before.identity == plan.identity
        if not resumed:
            self._done, self._lists = {}, {}
        started = self._begun.started if resumed and self._begun is not None else plan.started
        run = self._begun.run if resumed and self._begun is not None else plan.owner
        self._plan, self._complete = plan, False
        self._begun = Begun(run=run, started=started, resumed=resumed, done=dict(self._done))
        return self._begun

    def open(self, organization: str) -> dict[str, ListState]:
        assert self._plan is not None
        return {
            kind.name: self._lists.setdefault((organization, kind.name), _List()).state for kind in self._plan.kinds
        }

    def start_round(self, organization: str, kind: Kind, number: int) -> None:
        self._lists[organization, kind.name] = _List(state=ListState(round=number))

    def put(self, run: str, unit: Unit, batch: Batch, mark: UnitMark) -> None:
        one = self._lists[unit.organization, unit.kind]
        if one.state.status == "reading" and one.state.round == unit.round:
            one.batches.append(batch)
            one.state = evolve(one.state, marks={**one.state.marks, unit.first: mark})

    def count(self, organization: str, kind: Kind) -> int:
        return len(self._seen(self._lists[organization, kind.name]))

    def _seen(self, one: _List) -> set[str]:
        return {id_ for batch in one.batches for id_ in batch.ids}

    def finish(self, organization: str, kind: Kind, *, settled: bool) -> KindReport:
        assert self._plan is not None
        one, table = self._lists[organization, kind.name], self.tables.setdefault((organization, kind.name), {})
        table.update({row.id: row.data for batch in one.batches for row in batch.rows})
        gone = table.keys() - self._seen(one) if settled and self._plan.since is None else set()
        for id_ in gone:
            del table[id_]
        one.state = ListState(status="done")
        one.report = KindReport(rows=len(table), written=0, removed=len(gone), unsettled=not settled)
        return one.report

    def refuse(self, organization: str, kind: Kind, why: str) -> None:
        self._lists[organization, kind.name] = _List(state=ListState(status="refused"), message=why)

    def report(self, organization: str) -> tuple[dict[str, KindReport], dict[str, str]]:
        assert self._plan is not None
        mine = {kind.name: self._lists[organization, kind.name] for kind in self._plan.kinds}
        done = {kind: one.report for kind, one in mine.items() if one.report is not None}
        return done, {kind: one.message for kind, one in mine.items() if one.state.status == "refused"}

    def end(self, report: ExportReport) -> None:
        self._done[report.organization] = report

    def leave(self, organization: str) -> None:
        """Hold nothing."""

    def complete(self) -> None:
        self._complete = True

    def close(self) -> None:
        """Hold nothing."""


class KilledError(BaseException):
    """The process is gone."""


@define(eq=False)
class Moments:
    """Counts what happens, and at one of its moments the process is killed, or the export cancelled.

    Attributes:
        left: moments until then.
        cancel: cancels the export; None to kill it, so that nothing happens from then on.

    """

    left: int
    cancel: Callable[[], object] | None = None

    def on_the_loop(self, _: str) -> None:
        if self._has_come() and self.cancel is not None:
            self.cancel()

    def in_a_thread(self) -> None:
        if self._has_come() and self.cancel is not None:
            from_thread.run_sync(self.cancel)

    def _has_come(self) -> bool:
        self.left -= 1
        if self.left < 0 and self.cancel is None:
            raise KilledError
        return self.left == -1


@frozen
class Doomed:
    """A destination with a moment before and after everything that is done there."""

    inner: Any
    moments: Moments

    def ledger(self) -> Any:
        return _Steps(self.inner.ledger(), self.moments)

    def writer(self) -> Any:
        return _Steps(self.inner.writer(), self.moments)


@frozen
class _Steps:
    inner: Any
    moments: Moments

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name) if name == "close" else partial(self._do, getattr(self.inner, name))

    def _do(self, work: Callable[..., Any], *arguments: Any, **words: Any) -> Any:
        self.moments.in_a_thread()
        result = work(*arguments, **words)
        self.moments.in_a_thread()
        return result


def lists_of(rows: int, name: str = TAGS, **settings: Any) -> Lists:
    lists = Lists(**settings)
    for _ in range(rows):
        lists.create(name)
    return lists


async def export(lists: Lists, memory: Memory, **wishes: Any) -> FleetReport:
    return await fleet.export([lists.organization()], to=memory, **{"kinds": ["tags"], "pages": 2, **wishes})


def at(number: int, lists: Lists, act: Callable[[], object]) -> None:
    """Do something once, before the reply to the call of this number."""
    done: list[object] = []

    def before(_: str) -> None:
        if len(lists.asked) >= number and not done:
            done.append(None)
            act()

    lists.before = before


def delete(lists: Lists, place: int, name: str = TAGS) -> None:
    del lists.rows[name][place]


def fail() -> None:
    raise ServerError("Oops.", status=500)


async def interrupted(lists: Lists, memory: Memory, call: int, **wishes: Any) -> None:
    at(call, lists, fail)
    with pytest.raises(ServerError):
        await export(lists, memory, concurrency=1, **wishes)
    lists.before = lambda _: None
