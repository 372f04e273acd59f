"""Who reads units: this event loop. Dask's workers do the same in :mod:`tallyfy_async.fleet.dask_crew`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from types import TracebackType
from typing import Protocol, Self

import anyio
from attrs import define, field

from tallyfy_async.fleet.destinations.base import Destination, Writer
from tallyfy_async.fleet.reading import Outcome, read
from tallyfy_async.fleet.units import Unit
from tallyfy_async.organization import Organization


class Crew(Protocol):
    """Reads units, many at once."""

    async def __aenter__(self) -> Self:
        """Make ready."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release what is held."""
        ...

    async def read(self, run: str, unit: Unit) -> Outcome:
        """Read a unit and commit it; errors of the unit are in the outcome."""
        ...


@define(eq=False)
class Slots:
    """Room for so many at once; of those that wait, who has the lowest number gets in first."""

    free: int
    _waiting: list[tuple[int, int, anyio.Event]] = field(factory=list[tuple[int, int, anyio.Event]], init=False)
    _came: int = field(default=0, init=False)

    @asynccontextmanager
    async def slot(self, number: int) -> AsyncGenerator[None]:
        """Hold a slot."""
        if self.free:
            self.free -= 1
        else:
            await self._wait(number)
        try:
            yield
        finally:
            self._hand_on()

    async def _wait(self, number: int) -> None:
        self._came += 1
        turn = anyio.Event()
        heappush(self._waiting, (number, self._came, turn))
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._hand_on()
            turn.set()  # to be passed over
            raise

    def _hand_on(self) -> None:
        while self._waiting:
            *_, turn = heappop(self._waiting)
            if not turn.is_set():
                turn.set()
                return
        self.free += 1


@define(eq=False)
class OwnLoop:
    """Reads units in this event loop, through the clients of the organizations."""

    organizations: Mapping[str, Organization]
    destination: Destination
    concurrency: int
    _slots: Slots = field(init=False)
    _writer: Writer = field(init=False)

    async def __aenter__(self) -> Self:
        """Make a writer."""
        self._slots = Slots(self.concurrency)
        self._writer = self.destination.writer()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the writer."""
        self._writer.close()

    async def read(self, run: str, unit: Unit) -> Outcome:
        """Read a unit when there is room; lists keep abreast, or one user's pace would hold up all others."""
        engine = self.organizations[unit.organization]._pipeline  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - rows are read raw, past the models
        async with self._slots.slot(unit.first):
            return await read(engine, self._writer, run, unit)
