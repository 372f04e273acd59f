"""What runs in Dask's workers: one client for each process and way of access, and the functions that tasks call."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast
from weakref import WeakKeyDictionary

import anyio
from attrs import define, field, frozen
from distributed import WorkerPlugin, get_worker

from tallyfy_async.client import TallyfyClient
from tallyfy_async.errors import IndeterminateError, NotSentError, Outcome, TallyfyError
from tallyfy_async.fleet import reading
from tallyfy_async.fleet.access import Access, Line
from tallyfy_async.fleet.destinations.base import Destination
from tallyfy_async.fleet.reading import read
from tallyfy_async.fleet.units import Unit
from tallyfy_async.organization import Organization
from tallyfy_async.protocol.redaction import redact


class Station(WorkerPlugin):
    """A client in a worker, and those derived from it for other credentials; the worker closes it at its end.

    It lives in a task of its own, because what paces it must be opened and closed in the same one.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._derived: dict[Line, TallyfyClient] = {}
        self._error: Exception | None = None
        self._opened, self._closing, self._closed = anyio.Event(), anyio.Event(), anyio.Event()

    async def live(self) -> None:
        """Open the client, wait until it is to be closed, close it."""
        try:
            async with AsyncExitStack() as stack:
                self._derived[self.access.line] = await self.access.open(stack)
                self._opened.set()
                await self._closing.wait()
        except Exception as error:  # noqa: BLE001 - raised to those who wait for the client
            self._error = error
        finally:
            self._opened.set()
            self._closed.set()

    async def organization(self, organization: str, line: Line) -> Organization:
        """Return an organization whose calls carry the tokens of a line; raise what opening the client raised."""
        await self._opened.wait()
        if self._error is not None:
            raise portable(self._error)
        client = self._derived.get(line)
        if client is None:
            first = self._derived[self.access.line]
            client = self._derived[line] = first.with_options(organizations={line.organization: line.to_grant()})
        return client.organization(organization)

    async def teardown(self, worker: Any) -> None:
        """Close the client."""
        del worker
        self._closing.set()
        await self._closed.wait()


@define(eq=False)
class _Known:
    stations: dict[Access, Station] = field(factory=dict[Access, Station])


_KNOWN: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()


async def _station(access: Access) -> Station:
    """Return this worker's station, opened when it is first needed."""
    worker = cast("Any", get_worker())
    stations = _KNOWN.setdefault(worker, _Known()).stations
    if (known := stations.get(access)) is not None:
        return known
    station = stations[access] = Station(access)
    worker.loop.spawn_callback(station.live)
    await worker.plugin_add(plugin=station, name=f"tallyfy-{len(stations)}")
    return station


async def read_unit(access: Access, line: Line, destination: Destination, run: str, unit: Unit) -> reading.Outcome:
    """Read a unit in a worker; what fails is returned, because Dask would log it with all its arguments."""
    try:
        station = await _station(access)
        org = await station.organization(unit.organization, line)
        outcome = await read(org._pipeline, destination.writer(), run, unit)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - rows are read raw, past the models
    except TallyfyError as error:
        return reading.Outcome(error=error.twin())
    except Exception as error:  # noqa: BLE001 - raised where the export was asked for
        outcome = reading.Outcome(error=error)
    return reading.Outcome(error=portable(outcome.error)) if outcome.error is not None else outcome


@frozen(kw_only=True)
class Ended:
    """The end of a job, as a value."""

    result: Any = None
    error: Exception | None = None


async def run_job(
    access: Access, line: Line, organization: str, claim: str, work: Callable[[Organization], Awaitable[Any]]
) -> Ended:
    """Run a job in a worker, unless somebody took its claim before."""
    worker = cast("Any", get_worker())
    try:
        org = await (await _station(access)).organization(organization, line)
        taken = await _take(worker, claim)
    except Exception as error:  # noqa: BLE001 - nothing was sent
        return Ended(error=NotSentError(str(portable(error))))
    if not taken:
        return Ended(error=IndeterminateError("a worker died when it had begun this job: it may have landed"))
    try:
        result = await work(org)
    except Exception as error:  # noqa: BLE001 - it is the job's outcome
        return Ended(error=_picklable(error))
    try:
        pickle.dumps(result)
    except Exception as error:  # noqa: BLE001 - whatever a class does when it is pickled
        msg = f"the job was done, but its result cannot be sent back: {type(error).__name__}"
        return Ended(error=TallyfyError(msg, outcome=Outcome.DONE))
    return Ended(result=result)


async def _take(worker: Any, claim: str) -> bool:
    """Take a job's claim at the scheduler, in one step; return whether it was still there."""
    try:
        return bool(await worker.scheduler.queue_get(name=claim, timeout=0, batch=True))
    except KeyError:  # whoever waited for the job is gone
        return False


def _picklable(error: Exception) -> Exception:
    """Return an error as it is where it survives the way back."""
    error = error.with_traceback(None)
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever a class does when it is pickled
        return TallyfyError(redact(f"{type(error).__name__}: {error}"))
    return error


def portable(error: Exception) -> Exception:
    """Return an error that every process can load, secrets masked: our own, an OSError, or the words of any other."""
    if isinstance(error, TallyfyError):
        return error
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return TallyfyError(redact(f"a worker failed with {type(error).__name__}: {error}"))
