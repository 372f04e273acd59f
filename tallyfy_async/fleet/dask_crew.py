"""Units read by Dask's workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync
from attrs import define

from tallyfy_async.errors import ConfigurationError, TransportError
from tallyfy_async.fleet.access import Access
from tallyfy_async.fleet.destinations.base import Destination
from tallyfy_async.fleet.reading import Outcome
from tallyfy_async.fleet.units import Unit

_LIVES = 20
"""How often a unit is handed out anew after Dask gave it up because workers died with it."""


class DiedError(TransportError):
    """Dask gave a task up: workers died with it time and again. It may have been begun."""


@define(eq=False)
class Dask:
    """A Dask client, used from any event loop.

    Attributes:
        client: the ``distributed.Client``, which has no complete types.

    """

    client: Any

    @classmethod
    def of(cls, client: Any) -> Self:
        """Return a client that is one; raise ConfigurationError for anything else and without the extra."""
        if find_spec("distributed") is None:
            msg = 'dask needs the package distributed: pip install "tallyfy-async[dask]"'
            raise ConfigurationError(msg)
        from distributed import Client  # noqa: PLC0415 - an extra

        if not isinstance(client, Client):
            msg = f"dask must be a distributed.Client, not {type(client).__name__}"
            raise ConfigurationError(msg)
        return cls(client)

    async def run(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in a worker and return its result.

        Raises DiedError where workers died with it, TransportError where the scheduler let go of it. Cancelling the
        caller lets go of the task.
        """
        key = f"tallyfy-{name}-{uuid4().hex}"  # the dashboard groups tasks by what stands before the last hyphen
        try:
            future: Any = self.client.submit(work, *arguments, key=key, pure=False)
        except (OSError, RuntimeError):  # it was closed, or is about to be
            raise _gone() from None
        try:
            await _landed(future)
            return await self._result(future)
        finally:
            future.release()

    async def _result(self, future: Any) -> Any:
        from distributed import KilledWorker  # noqa: PLC0415 - an extra
        from distributed.client import FutureCancelledError  # noqa: PLC0415 - an extra

        if future.status == "cancelled":  # one that is lost with its worker is done again by itself
            raise _gone()
        try:
            if self.client.asynchronous:
                return await future.result()
            return await run_sync(future.result, abandon_on_cancel=True)
        except KilledWorker as error:
            msg = f"workers died with a task time and again: {error}"
            raise DiedError(msg) from None
        except (FutureCancelledError, OSError):  # Dask's errors of lost connections are OSErrors, a unit's are values
            raise _gone() from None


async def _landed(future: Any) -> None:
    """Wait until a task ended in any way; Dask tells it in a thread of its own."""
    landed, token = anyio.Event(), current_token()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the event loop has ended
            from_thread.run_sync(landed.set, token=token)

    future.add_done_callback(tell)
    await landed.wait()


def _gone() -> TransportError:
    return TransportError("Dask's scheduler let go of a task: where it went away, start one and call again")


@define(eq=False)
class DaskCrew:
    """Reads units in Dask's workers."""

    dask: Dask
    access: Access
    destination: Destination

    @classmethod
    def of(cls, client: Any, access: Access, destination: Destination) -> Self:
        """Return a crew; raise what :meth:`Dask.of` raises."""
        return cls(Dask.of(client), access, destination)

    async def __aenter__(self) -> Self:
        """Do nothing."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing: clients stay in the workers, for the next export."""

    async def read(self, run: str, unit: Unit) -> Outcome:
        """Have a unit read; hand it out again where workers died with it."""
        from tallyfy_async.fleet.stations import read_unit  # noqa: PLC0415 - an extra

        work = partial(
            self.dask.run,
            unit.kind,
            read_unit,
            self.access.common,
            self.access.line_of(unit.organization),
            self.destination,
            run,
            unit,
        )
        for _ in range(_LIVES):
            with suppress(DiedError):
                return cast("Outcome", await work())
        return cast("Outcome", await work())
