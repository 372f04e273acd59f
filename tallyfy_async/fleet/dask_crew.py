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
from anyio.lowlevel import current_token
from anyio.to_thread import run_sync
from attrs import define

from tallyfy_async.errors import ConfigurationError, TransportError
from tallyfy_async.fleet.access import Access
from tallyfy_async.fleet.destinations.base import Destination
from tallyfy_async.fleet.reading import Outcome
from tallyfy_async.fleet.units import Unit
from tallyfy_async.protocol.redaction import redact

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
        found = cls(client)
        if not found.is_connected:
            msg = f"dask must be a client that is connected, not one that is {client.status}"
            raise ConfigurationError(msg)
        return found

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler is there. A client that is not tells nothing of tasks that it is given."""
        return bool(self.client.status == "running")

    async def run(self, name: str, work: Callable[..., Any], *arguments: Any, priority: int = 0) -> Any:
        """Run a function in a worker and return its result; what it raises itself must be a value.

        Of the tasks that wait for a worker, those of the highest priority are run first.

        Raises DiedError where workers died with it, TransportError where the scheduler let go of it or could not have
        it run. Cancelling the caller lets go of the task.
        """
        key = f"tallyfy-{name}-{uuid4().hex}"  # the dashboard groups tasks by what stands before the last hyphen
        try:
            future: Any = self.client.submit(work, *arguments, key=key, pure=False, priority=priority)
        except Exception as error:  # noqa: BLE001 - Dask's versions differ in what they raise
            raise _failed(error) if self.is_connected else _gone() from None
        try:
            landed = _landing(future)
            if not self.is_connected:  # asked only now, so that whoever closes it later lets go of this future too
                raise _gone()
            await landed.wait()
            return await self._result(future)
        finally:
            future.release()

    async def _result(self, future: Any) -> Any:
        from distributed import KilledWorker  # noqa: PLC0415 - an extra
        from distributed.client import FutureCancelledError  # noqa: PLC0415 - an extra

        if future.status == "cancelled" or not self.is_connected:  # one lost with its worker is done again by itself
            raise _gone()
        try:
            return await run_sync(future.result, abandon_on_cancel=True)
        except KilledWorker as error:
            msg = f"workers died with a task time and again: {error}"
            raise DiedError(msg) from None
        except (FutureCancelledError, OSError):  # Dask's errors of lost connections are OSErrors
            raise _gone() from None
        except Exception as error:  # noqa: BLE001 - where the package is missing, for instance
            raise _failed(error) from None


def _landing(future: Any) -> anyio.Event:
    """Return an event that is set when a task ended in any way."""
    landed, native = anyio.Event(), cast("Any", current_token().native_token)
    soon = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon  # of asyncio, of trio

    def tell(_: object) -> None:
        """Wake the waiter, but do not wait for it: all futures of the process share the thread that this runs in."""
        with suppress(RuntimeError):  # its event loop has ended
            soon(landed.set)

    future.add_done_callback(tell)
    return landed


def _failed(error: Exception) -> TransportError:
    return TransportError(redact(f"Dask could not have a task run: {type(error).__name__}: {error}"))


def _gone() -> TransportError:
    return TransportError("Dask's scheduler let go of a task: where it went away, start one and call again")


@define(eq=False)
class DaskCrew:
    """Reads units in Dask's workers."""

    dask: Dask
    access: Access
    destination: Destination
    _packed: bytes

    @classmethod
    def of(cls, client: Any, access: Access, destination: Destination) -> Self:
        """Return a crew; raise what :meth:`Dask.of` and :meth:`Access.packed` raise."""
        return cls(Dask.of(client), access, destination, access.packed())

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
            self._packed,
            self.access.line_of(unit.organization),
            self.destination,
            run,
            unit,
            priority=-unit.first,  # lists keep abreast, or one user's pace would hold up all others
        )
        for _ in range(_LIVES):
            with suppress(DiedError):
                return cast("Outcome", await work())
        return cast("Outcome", await work())
