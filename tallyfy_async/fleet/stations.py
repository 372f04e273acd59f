"""What runs in Dask's workers: one client for each process and way of access, and the functions that tasks call."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast
from uuid import uuid4
from weakref import WeakKeyDictionary

import anyio
from attrs import frozen
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

_PLAIN = {str, int, float, bool, type(None)}


class Station(WorkerPlugin):
    """A client in a worker, and those derived from it for other credentials; the worker closes it at its end.

    It lives in a task of its own, because what paces it must be opened and closed in the same one.
    """

    def __init__(self, access: bytes) -> None:
        self._access = access
        self._client: TallyfyClient
        self._derived: dict[Line, TallyfyClient] = {}
        self._error: Exception | None = None
        self._opened, self._closing, self._closed = anyio.Event(), anyio.Event(), anyio.Event()

    @property
    def failed(self) -> bool:
        """Whether the client could not be opened."""
        return self._error is not None

    async def live(self) -> None:
        """Open the client, wait until it is to be closed, close it."""
        try:
            access: Access = pickle.loads(self._access)  # noqa: S301 - our own
            async with AsyncExitStack() as stack:
                self._client = self._derived[access.line] = await access.open(stack)
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
            client = self._derived[line] = self._client.with_options(organizations={line.organization: line.to_grant()})
        return client.organization(organization)

    async def teardown(self, worker: Any) -> None:
        """Close the client."""
        del worker
        self._closing.set()
        await self._closed.wait()


_STATIONS: WeakKeyDictionary[Any, dict[bytes, Station]] = WeakKeyDictionary()


async def _station(access: bytes) -> Station:
    """Return this worker's station, opened when it is first needed, and anew where that failed."""
    worker = cast("Any", get_worker())
    stations = _STATIONS.setdefault(worker, {})
    if (known := stations.get(access)) is not None and not known.failed:
        return known
    station = stations[access] = Station(access)
    worker.loop.spawn_callback(station.live)
    await worker.plugin_add(plugin=station, name=f"tallyfy-{uuid4().hex}")
    return station


async def read_unit(access: bytes, line: Line, destination: Destination, run: str, unit: Unit) -> reading.Outcome:
    """Read a unit in a worker; what fails is returned, because Dask would log it with all its arguments."""
    try:
        station = await _station(access)
        org = await station.organization(unit.organization, line)
        outcome = await read(org._pipeline, destination.writer(), run, unit)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - rows are read raw, past the models
    except Exception as error:  # noqa: BLE001 - raised where the export was asked for
        outcome = reading.Outcome(error=error)
    return reading.Outcome(error=portable(outcome.error)) if outcome.error is not None else outcome


@frozen(kw_only=True)
class Ended:
    """The end of a job, as a value."""

    result: Any = None
    error: Exception | None = None


async def run_job(access: bytes, line: Line, organization: str, claim: str, packed: bytes) -> Ended:
    """Run a job in a worker, unless somebody took its claim before."""
    worker = cast("Any", get_worker())
    try:
        work: Callable[[Organization], Awaitable[Any]] = pickle.loads(packed)  # noqa: S301 - our own
        org = await (await _station(access)).organization(organization, line)
        taken = await _take(worker, claim)
    except Exception as error:  # noqa: BLE001 - nothing was sent
        return Ended(error=NotSentError(str(portable(error))))
    if not taken:
        return Ended(error=IndeterminateError("a worker died when it had begun this job: it may have landed"))
    try:
        result = await work(org)
    except anyio.get_cancelled_exc_class():
        if worker.status.name == "closing":
            raise
        return Ended(error=IndeterminateError("the job cancelled itself"))
    except Exception as error:  # noqa: BLE001 - it is the job's outcome
        return Ended(error=bare(error))
    try:
        pickle.dumps(result)
    except Exception as error:  # noqa: BLE001 - whatever a class does when it is pickled
        msg = f"the job was done, but its result cannot be sent back: {type(error).__name__}"
        return Ended(error=TallyfyError(msg, outcome=Outcome.DONE))
    return Ended(result=result)


async def _take(worker: Any, claim: str) -> bool:
    """Take a job's claim at the scheduler, in one step; return whether it was still there.

    As ``distributed.Queue`` does it, which would need a Dask client in every worker.
    """
    try:
        return bool(await worker.scheduler.queue_get(name=claim, batch=True))
    except KeyError:  # whoever waited for the job is gone
        return False


def bare(error: Exception) -> Exception:
    """Return an error of the same class that holds only its words, secrets masked; where that cannot be, one of ours.

    What a job's error was raised from, and what it holds, may be a request with its headers.
    """
    try:
        known = _bare(error)
        pickle.loads(pickle.dumps(known))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever a class does when it is made or pickled
        return TallyfyError(redact(f"{type(error).__name__}: {error}"), outcome=getattr(error, "outcome", None))
    return known


def _bare(error: Exception) -> Exception:
    known = portable(error)
    if type(known) is not type(error) and all(type(one) in _PLAIN for one in error.args):
        known = type(error).__new__(type(error))
        known.args = tuple(redact(one) if isinstance(one, str) else one for one in error.args)
        for note in getattr(error, "__notes__", ()):
            known.add_note(redact(note))
    return known


def portable(error: Exception) -> Exception:
    """Return an error that every process can load, secrets masked: our own, an OSError, or the words of any other."""
    if isinstance(error, TallyfyError):
        return error.twin()
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno is not None:
        return OSError(error.errno, error.strerror, error.filename)
    return TallyfyError(redact(f"a worker failed with {type(error).__name__}: {error}"))
