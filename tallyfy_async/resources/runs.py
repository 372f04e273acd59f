"""Runs: the processes launched from checklists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.filters import RunFilters
from tallyfy_async.models.processes import Run, RunLaunch, RunUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, check_answers, query_of, with_of
from tallyfy_async.resources.tasks import RunTasks

LIST = Operation(
    id="list_runs",
    method="GET",
    path="/organizations/{org}/runs",
    scopes="process",
    call="org.runs.list",
    max_per_page=100,
)
GET = Operation(
    id="get_run", method="GET", path="/organizations/{org}/runs/{run_id}", scopes="process", call="org.runs.get"
)
LAUNCH = Operation(
    id="launch_run", method="POST", path="/organizations/{org}/runs", scopes="process", call="org.runs.launch"
)
UPDATE = Operation(
    id="update_run", method="PUT", path="/organizations/{org}/runs/{run_id}", scopes="process", call="org.runs.update"
)
ARCHIVE = Operation(
    id="archive_run",
    method="DELETE",
    path="/organizations/{org}/runs/{run_id}",
    scopes="process",
    call="org.runs.archive",
)
ACTIVATE = Operation(
    id="activate_run",
    method="PUT",
    path="/organizations/{org}/runs/{run_id}/activate",
    scopes="process",
    call="org.runs.activate",
)


@frozen(eq=False)
class Runs(Resource):
    """Processes and, under ``tasks``, their tasks."""

    @property
    def tasks(self) -> RunTasks:
        """The tasks of runs."""
        return RunTasks(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[RunFilters]
    ) -> Pager[Run]:
        """List runs; archived ones only with ``archived`` (contract: list_runs)."""
        query = query_of(RunFilters, filters, "runs.list")
        return self._list(LIST, Run, query=query, per_page=per_page, options=options)

    async def get(
        self, run_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Run:
        """Read one run (contract: get_run)."""
        return await self._item(GET, Run, {"run_id": run_id}, query=with_of(with_), options=options)

    async def launch(
        self, checklist_id: str, *, options: RequestOptions | None = None, **fields: Unpack[RunLaunch]
    ) -> Run:
        """Launch a run from a template; ``prerun`` are the kick-off answers by field id (contract: launch_run).

        It is sent once: IndeterminateError and ServerError mean that the run may have been launched. Raises
        ValidationError where a required kick-off answer is missing, ConfigurationError for unknown arguments and for
        answers under anything but field ids, which the server would drop without a word.
        """
        body = write(RunLaunch, fields, what="runs.launch")
        check_answers("prerun", body.get("prerun"), "checklist.prerun")
        payload = {"checklist_id": body_id("checklist_id", checklist_id), **body}
        return await self._item(LAUNCH, Run, payload=payload, options=options)

    async def update(self, run_id: str, *, options: RequestOptions | None = None, **fields: Unpack[RunUpdate]) -> Run:
        """Change a run; what is not given stays as it is (contract: update_run).

        The server empties ``users`` and ``groups`` when a request lacks them, so the run is read first and the missing
        ones are sent again. Raises ConfigurationError where that read lacks them.
        """
        body = write(RunUpdate, fields, what="runs.update")
        if not body:
            msg = "runs.update needs something to change"
            raise ConfigurationError(msg)
        check_answers("prerun", body.get("prerun"), "checklist.prerun")
        if not body.keys() >= {"users", "groups"}:
            body = {**_members(await self.get(run_id, options=options)), **body}
        return await self._item(UPDATE, Run, {"run_id": run_id}, payload=body, options=options)

    async def archive(self, run_id: str, *, options: RequestOptions | None = None) -> None:
        """Archive a run with its tasks, comments and files; ``activate`` brings them back (contract: archive_run)."""
        await self._call(ARCHIVE, {"run_id": run_id}, options=options)

    async def activate(self, run_id: str, *, options: RequestOptions | None = None) -> Run:
        """Bring an archived run back, in the state that it had (contract: activate_run)."""
        return await self._item(ACTIVATE, Run, {"run_id": run_id}, options=options)


def _members(run: Run) -> dict[str, Any]:
    users, groups = run.user_ids, run.group_ids
    if users is None or groups is None:
        msg = "the run was read without users or groups, which the server would empty: pass both to runs.update"
        raise ConfigurationError(msg)
    return {"users": list(users), "groups": list(groups)}
