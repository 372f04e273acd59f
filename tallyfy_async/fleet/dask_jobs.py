"""Jobs run by Dask's workers, each at most once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self
from uuid import uuid4

from anyio.to_thread import run_sync
from attrs import define, field

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
    _ready: bool = field(default=False, init=False)

    @classmethod
    def of(cls, client: Any, access: Access, organization: Organization) -> Self:
        """Return a crew; raise what :meth:`Dask.of` raises."""
        return cls(Dask.of(client), access, organization)

    async def run(self, work: Callable[[Organization], Any]) -> Any:
        """Run a job and return its result, or raise what it raised.

        Raises NotSentError where the scheduler cannot be reached, TransportError where it was lost meanwhile,
        IndeterminateError where a worker died with the job.
        """
        _check(work)
        if not self._ready:
            await self.access.prepare([self.organization])
            self._ready = True
        claim = f"tallyfy-{uuid4().hex}"
        await self._ask("queue_create", name=claim, client=claim)
        try:
            await self._ask("queue_put", name=claim, data=True)
            line = self.access.line_of(self.organization.id)
            ended: Ended = await self.dask.run(
                "job", run_job, self.access.common, line, self.organization.id, claim, work
            )
        finally:
            self.dask.client._send_to_scheduler({"op": "queue_release", "name": claim, "client": claim})  # noqa: SLF001
        if ended.error is not None:
            raise ended.error
        return ended.result

    async def _ask(self, what: str, **values: Any) -> None:
        """Ask the scheduler for something."""
        client = self.dask.client
        ask = getattr(client.scheduler, what)
        try:
            await (ask(**values) if client.asynchronous else run_sync(partial(client.sync, ask, **values)))
        except (OSError, RuntimeError) as error:  # Dask's own errors of lost connections are OSErrors
            msg = f"Dask's scheduler cannot be reached: {type(error).__name__}"
            raise NotSentError(msg) from None


def _check(work: Any) -> None:
    """Raise ConfigurationError for a function that workers cannot import."""
    function = work
    while isinstance(function, partial):
        function = function.func
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if module in {None, "__main__"} or "<" in name:
        msg = "workers must be able to import a job's function: define it at the top of a module of its own"
        raise ConfigurationError(msg)
