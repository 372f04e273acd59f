"""Who reads units: this event loop. Dask's workers do the same in :mod:`tallyfy_async.fleet.dask_crew`."""

from __future__ import annotations

from collections.abc import Mapping
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
class OwnLoop:
    """Reads units in this event loop, through the clients of the organizations."""

    organizations: Mapping[str, Organization]
    destination: Destination
    concurrency: int
    _slots: anyio.Semaphore = field(init=False)
    _writer: Writer = field(init=False)

    async def __aenter__(self) -> Self:
        """Make a writer."""
        self._slots = anyio.Semaphore(self.concurrency)
        self._writer = self.destination.writer()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the writer."""
        self._writer.close()

    async def read(self, run: str, unit: Unit) -> Outcome:
        """Read a unit when there is room."""
        engine = self.organizations[unit.organization]._pipeline  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - rows are read raw, past the models
        async with self._slots:
            return await read(engine, self._writer, run, unit)
