"""Jobs run by Dask's workers, each at most once."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self, cast
from uuid import uuid4

from anyio.to_thread import run_sync
from attrs import define, field
from distributed import Queue

from tallyfy_async.errors import ConfigurationError, NotSentError
from tallyfy_async.fleet.access import Access
from tallyfy_async.fleet.dask_crew import Dask
from tallyfy_async.fleet.stations import Ended, run_job
from tallyfy_async.organization import Organization


@define(eq=False)
class JobCrew:
    """Runs jobs of one organization."""

    dask: Dask
    access: Access
    organization: Organization
    _packed: bytes
    _ready: bool = field(default=False, init=False)

    @classmethod
    def of(cls, client: Any, access: Access, organization: Organization) -> Self:
        """Return a crew; raise what :meth:`Dask.of` and :meth:`Access.packed` raise."""
        return cls(Dask.of(client), access, organization, access.packed())

    async def run(self, work: Callable[[Organization], Any]) -> Any:
        """Run a job and return its result, or raise what it raised.

        Raises NotSentError where no worker began it, IndeterminateError where one died with it, TransportError where
        the scheduler was lost meanwhile.
        """
        packed = _packed(work)
        if not self._ready:
            await self.access.prepare([self.organization])
            self._ready = True
        claim = await self._lay_claim()
        try:
            line = self.access.line_of(self.organization.id)
            ended: Ended = await self.dask.run(
                "job", run_job, self._packed, line, self.organization.id, claim.name, packed
            )
        except Exception as error:
            if await _is_there(claim):
                raise NotSentError(str(error)) from None
            raise
        finally:
            claim.close()
        if ended.error is not None:
            raise ended.error
        return ended.result

    async def _lay_claim(self) -> Any:
        """Return a queue at the scheduler with one claim in it, for whoever takes it first."""
        try:
            return await run_sync(_queue, self.dask.client, abandon_on_cancel=True)
        except Exception as error:  # noqa: BLE001 - Dask's versions differ in what they raise
            msg = f"Dask's scheduler cannot be reached: {type(error).__name__}"
            raise NotSentError(msg) from None


def _queue(client: Any) -> Any:
    """Make a claim; in a thread, where it blocks with an asynchronous client too."""
    if client.status != "running":  # or each job would wait for a scheduler that is gone
        raise ConnectionError
    queue = cast("Any", Queue)(f"tallyfy-{uuid4().hex}", client=client)
    queue.put(True)
    return queue


async def _is_there(claim: Any) -> bool:
    """Take a claim back; return whether it was there, so that no worker began the job, nor will."""
    try:
        return bool(await run_sync(partial(claim.get, batch=True), abandon_on_cancel=True))
    except Exception:  # noqa: BLE001 - the scheduler is gone, and nobody can tell
        return False


def _packed(work: Any) -> bytes:
    """Return a work pickled, so that a worker that cannot load it can say so.

    Raises ConfigurationError for what no worker can import.
    """
    function = work
    while isinstance(function, partial):
        function = function.func
    if callable(function) and getattr(function, "__module__", None) != "__main__":
        with suppress(Exception):  # whatever a class does when it is pickled
            return pickle.dumps(work)
    msg = (
        "workers must be able to import a job's function and to unpickle its arguments: define it at the top of a "
        "module of its own, and give it plain values"
    )
    raise ConfigurationError(msg)
