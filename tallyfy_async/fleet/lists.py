"""One list of one organization on its way: rounds of units until one of them is whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio
from attrs import define, field, frozen

from tallyfy_async.errors import PaginationError, TallyfyError
from tallyfy_async.export.kinds import Kind
from tallyfy_async.fleet.crew import Crew
from tallyfy_async.fleet.destinations.base import FleetPlan, Ledger
from tallyfy_async.fleet.reading import commit
from tallyfy_async.fleet.report import FleetProgress
from tallyfy_async.fleet.together import together
from tallyfy_async.fleet.units import ROUNDS, ListState, Round, Unit, UnitMark

T = TypeVar("T")


class RefusedError(Exception):
    """The server does not give a kind."""

    def __init__(self, error: TallyfyError) -> None:
        super().__init__(str(error))
        self.error = error


@define(eq=False)
class Clerk:
    """Lets one worker thread at a time into a ledger; a cancellation waits for what is being written."""

    ledger: Ledger
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a method of the ledger; raise ExportError where it cannot be written."""
        async with self._turn:
            return await commit(partial(work, *arguments))


@frozen(kw_only=True)
class Desk:
    """What all lists of an export share.

    Attributes:
        clerk: the way to the ledger.
        crew: reads units.
        plan: what is to be exported.
        run: names the export.
        pages: pages of a unit.
        tell: hears of progress.

    """

    clerk: Clerk
    crew: Crew
    plan: FleetPlan
    run: str
    pages: int
    tell: Callable[[FleetProgress], Awaitable[None]]


@define(eq=False)
class ListWalk:
    """One list."""

    desk: Desk
    organization: str
    kind: Kind
    state: ListState
    units: int = field(default=0, init=False)
    _round: Round = field(init=False)
    _shifted: PaginationError | None = field(default=None, init=False)

    async def run(self) -> None:
        """Export the list; raise RefusedError where the server does not give it, and what calls and ledger raise."""
        if self.state.status != "done":
            settled = await self._read()
            ledger = self.desk.clerk.ledger
            done = await self.desk.clerk.do(partial(ledger.finish, settled=settled), self.organization, self.kind)
            await self._tell(done.rows, done.rows, done=True)

    async def _read(self) -> bool:
        """Read rounds until one is whole, at most so many; return whether one was."""
        first = await self._reopened()
        for number in range(first, first + ROUNDS):
            if number > first or not self._round.marks:
                await self._begin(number)
            if await self._is_good():
                return True
        if self._shifted is not None:
            raise self._shifted
        count, witness = await self._count(), self._round.witness()
        if self._round.lacks(count) and (witness is None or await self._is_still(*witness)):
            msg = f"{self.kind.name}: the list kept ending short, last after {count} of {self._round.most} items"
            raise PaginationError(msg, seen=count, total=self._round.most)
        return False

    async def _reopened(self) -> int:
        """Take up an interrupted round if the list is still as it was; return its number, else that of a new one."""
        self._round = self._of(self.state.round, dict(self.state.marks))
        probe = self._round.probe()
        if probe is None:
            return self.state.round
        with suppress(PaginationError):
            if await self._is_still(*probe):
                return self.state.round
        self._round = self._of(self.state.round + 1, {})
        return self.state.round + 1

    async def _is_still(self, probe: Unit, ids: str) -> bool:
        """Whether a page holds the rows that it held."""
        return (await self._mark(probe)).ids == ids

    def _of(self, number: int, marks: dict[int, UnitMark]) -> Round:
        since = self.desk.plan.since
        text = None if since is None else since.isoformat()
        return Round(self.organization, self.kind, number, self.desk.pages, text, marks)

    async def _begin(self, number: int) -> None:
        self._round, self._shifted = self._of(number, {}), None
        await self.desk.clerk.do(self.desk.clerk.ledger.start_round, self.organization, self.kind, number)

    async def _is_good(self) -> bool:
        """Read what is due of a round, its end once more where it grew; return whether it is whole."""
        try:
            whole = await self._completed()
            if not whole and (tail := self._round.tail()):
                await self._gather(tail)
                whole = await self._completed()
            witness = self._round.witness() if whole else None
            return whole if witness is None else await self._is_still(*witness)
        except PaginationError as error:
            self._shifted = error.twin()
            return False

    async def _completed(self) -> bool:
        """Read what nobody has read yet; return whether the round is whole."""
        while units := self._round.due():
            await self._gather(units)
        return self._round.is_whole(await self._count())

    async def _count(self) -> int:
        return await self.desk.clerk.do(self.desk.clerk.ledger.count, self.organization, self.kind)

    async def _gather(self, units: list[Unit]) -> None:
        await together([partial(self._one, unit) for unit in units])

    async def _one(self, unit: Unit) -> None:
        self._round.marks[unit.first] = await self._mark(unit)
        self.units += 1
        await self._tell(self._round.rows, self._round.most or None)

    async def _mark(self, unit: Unit) -> UnitMark:
        """Have a unit read and return its mark; raise RefusedError, and what was raised instead."""
        outcome = await self.desk.crew.read(self.desk.run, unit)
        if outcome.refused is not None:
            raise RefusedError(outcome.refused)
        if outcome.mark is None:
            raise outcome.shifted or outcome.error or TallyfyError("a unit ended without an outcome")
        return outcome.mark

    async def _tell(self, rows: int, total: int | None, *, done: bool = False) -> None:
        told = FleetProgress(organization=self.organization, kind=self.kind.name, rows=rows, total=total, done=done)
        await self.desk.tell(told)
