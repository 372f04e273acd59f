"""One list of one organization on its way: rounds of units until one of them is whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from attrs import define, field, frozen

from tallyfy_async.errors import PaginationError, TallyfyError
from tallyfy_async.export.kinds import Kind
from tallyfy_async.fleet.crew import Crew
from tallyfy_async.fleet.destinations.base import Ledger
from tallyfy_async.fleet.report import FleetProgress
from tallyfy_async.fleet.together import together
from tallyfy_async.fleet.units import ROUNDS, ListState, Round, Unit, UnitMark, merged
from tallyfy_async.transport.shelter import run_in_child

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
        """Run a method of the ledger."""
        async with self._turn:
            return await run_in_child(partial(run_sync, partial(work, *arguments)), shield=True)


@frozen(kw_only=True)
class Desk:
    """What all lists of an export share.

    Attributes:
        clerk: the way to the ledger.
        crew: reads units.
        run: names the export.
        pages: pages of a unit.
        since: ISO 8601, None for none.
        tell: hears of progress.

    """

    clerk: Clerk
    crew: Crew
    run: str
    pages: int
    since: str | None
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
        count = await self._count()
        if count < self._round.fewest:
            msg = f"{self.kind.name}: the list kept ending short, last after {count} of {self._round.most} items"
            raise PaginationError(msg, seen=count, total=self._round.most)
        return False

    async def _reopened(self) -> int:
        """Take up an interrupted round if the list is still as it was; return its number, else that of a new one."""
        self._round = self._of(self.state.round, merged(self.state.marks.values()))
        probe = self._round.probe()
        if probe is None:
            return self.state.round
        if await self._is_still(*probe):
            return self.state.round
        self._round = self._of(self.state.round + 1, {})
        return self.state.round + 1

    async def _is_still(self, probe: Unit, ids: str) -> bool:
        """Whether a page holds the rows that it held."""
        outcome = await self.desk.crew.read(self.desk.run, probe)
        return outcome.mark is not None and outcome.mark.ids == ids

    def _of(self, number: int, marks: dict[int, UnitMark]) -> Round:
        return Round(self.organization, self.kind, number, self.desk.pages, self.desk.since, marks)

    async def _begin(self, number: int) -> None:
        self._round, self._shifted = self._of(number, {}), None
        await self.desk.clerk.do(self.desk.clerk.ledger.start_round, self.organization, self.kind, number)

    async def _is_good(self) -> bool:
        """Read what is due of a round, its end once more where it grew; return whether it is whole."""
        try:
            while units := self._round.due():
                await self._gather(units)
            whole = self._round.is_whole(await self._count())
            if not whole and (tail := self._round.tail()):
                await self._gather(tail)
                while units := self._round.due():
                    await self._gather(units)
                whole = self._round.is_whole(await self._count())
        except PaginationError as error:
            self._shifted = error.twin()
            return False
        witness = self._round.witness() if whole else None
        return whole if witness is None else await self._is_still(*witness)

    async def _count(self) -> int:
        return await self.desk.clerk.do(self.desk.clerk.ledger.count, self.organization, self.kind)

    async def _gather(self, units: list[Unit]) -> None:
        await together([partial(self._one, unit) for unit in units])

    async def _one(self, unit: Unit) -> None:
        outcome = await self.desk.crew.read(self.desk.run, unit)
        self.units += 1
        if outcome.refused is not None:
            raise RefusedError(outcome.refused)
        if outcome.mark is None:
            raise outcome.shifted or outcome.error or TallyfyError("a unit ended without an outcome")
        self._round.marks[unit.first] = outcome.mark
        await self._tell(self._round.rows, self._round.most or None)

    async def _tell(self, rows: int, total: int | None, *, done: bool = False) -> None:
        told = FleetProgress(organization=self.organization, kind=self.kind.name, rows=rows, total=total, done=done)
        await self.desk.tell(told)
