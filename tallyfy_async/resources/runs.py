"""Runs: the processes launched from checklists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.filters import RunFilters
from tallyfy_async.models.forms import KickoffForm
from tallyfy_async.models.processes import Run, RunFormFields, RunLaunch, RunReplace, RunUpdate
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of, with_of
from tallyfy_async.resources.bodies import changes, given, text_of
from tallyfy_async.resources.custom_fields import RunCustomFields
from tallyfy_async.resources.forms import Kickoff, launch_payload
from tallyfy_async.resources.run_tasks import RunTasks

if TYPE_CHECKING:
    from tallyfy_async.engine.bulk import Bulk, Report, Told
    from tallyfy_async.resources.launching import LaunchRows

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
DELETE = Operation(
    id="delete_run",
    method="DELETE",
    path="/organizations/{org}/runs/{run_id}/delete",
    scopes="process",
    call="org.runs.delete",
    confidence="documented",
)
COMPLETE_PRERUN = Operation(
    id="complete_prerun",
    method="POST",
    path="/organizations/{org}/runs/{run_id}/complete-prerun",
    scopes="process",
    call="org.runs.complete_prerun",
)
REOPEN_PRERUN = Operation(
    id="reopen_prerun",
    method="DELETE",
    path="/organizations/{org}/runs/{run_id}/complete-prerun",
    scopes="process",
    call="org.runs.reopen_prerun",
)
FORM_FIELDS = Operation(
    id="list_run_form_fields",
    method="GET",
    path="/organizations/{org}/runs/{run_id}/form-fields",
    scopes="process",
    call="org.runs.form_fields",
)
EXPORT = Operation(
    id="export_run",
    method="POST",
    path="/organizations/{org}/runs/{run_id}/export",
    scopes="process",
    call="org.runs.export",
    confidence="inferred",
)


@frozen(eq=False)
class Runs(Resource):
    """Processes and, under ``tasks``, their tasks."""

    @property
    def tasks(self) -> RunTasks:
        """The tasks of runs."""
        return RunTasks(self._engine, self._values)

    @property
    def custom_fields(self) -> RunCustomFields:
        """The custom field values of runs."""
        return RunCustomFields(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[RunFilters]
    ) -> Pager[Run]:
        """List runs; archived ones only with ``archived``, ``status="archived"`` finds none (contract: list_runs)."""
        query = query_of(RunFilters, filters, "runs.list")
        return self._list(LIST, Run, query=query, per_page=per_page, options=options)

    async def find_by_name(
        self, name: str, *, options: RequestOptions | None = None, **filters: Unpack[RunFilters]
    ) -> Run | None:
        """Return the newest run of exactly this name, None where there is none.

        Names are not unique; ``sort`` changes which run counts as the first. Archived runs are looked at with
        ``archived`` alone. Raises ConfigurationError for an empty name (contract: list_runs).
        """
        wanted: RunFilters = {"sort": "-created_at", **filters, "q": text_of("name", name)}
        async for run in self.list(options=options, **wanted):
            if run.name == name:
                return run
        return None

    async def get(
        self,
        run_id: str,
        *,
        with_: Iterable[str] | None = None,
        form_fields_values: bool | None = None,
        options: RequestOptions | None = None,
    ) -> Run:
        """Read one run, archived or not (contract: get_run).

        ``with_`` takes the words of ``runs.list`` and member_watchers, guest_watchers, selected_text_comment,
        tasks.threads, tasks.form_fields; kick-off answers are always in ``run.prerun``. ``form_fields_values`` brings
        the answers of all task fields. ``next_task`` is the first incomplete task by deadline.
        """
        query = with_of(with_) | query_of(_Values, given(form_fields_values=form_fields_values), "runs.get")
        return await self._item(GET, Run, {"run_id": run_id}, query=query, options=options)

    async def form_fields(self, run_id: str, *, options: RequestOptions | None = None) -> RunFormFields:
        """Read all fields of a run, of its tasks and of its kick-off form, with the ids that answers are keyed by.

        ``task_id`` of a field is the task whose update takes the answer (contract: list_run_form_fields).
        """
        return await self._item(FORM_FIELDS, RunFormFields, {"run_id": run_id}, options=options)

    async def launch(
        self,
        checklist_id: str,
        *,
        kickoff: Kickoff | None = None,
        options: RequestOptions | None = None,
        **fields: Unpack[RunLaunch],
    ) -> Run:
        """Launch a run from a template, ``kickoff`` being the kick-off answers (contract: launch_run).

        ``kickoff={"Start date": date(2026, 12, 1)}`` takes them by label, alias or id and reads the template first, to
        check and encode them; ``kickoff=form.fill({…})`` with a form of ``checklists.kickoff_form`` does without the
        read; ``prerun`` takes them by field id, as the API has them. Raises KickoffError, which names every unknown,
        missing and wrong answer, before anything is launched.

        It is sent once: IndeterminateError and ServerError mean that the run may have been launched. A task belongs to
        whom ``tasks`` says, else the template's step, else the launcher. Raises ValidationError where a required
        kick-off answer is missing, ConfigurationError for unknown arguments and for answers under anything but field
        ids, which the server would drop without a word.
        """
        form = partial(self._kickoff_form, checklist_id, options)
        payload = await launch_payload(checklist_id, {"kickoff": kickoff, **fields}, form, what="runs.launch")
        return await self._launch(payload, options=options)

    def launch_many(
        self,
        rows: LaunchRows,
        *,
        checklist_id: str,
        form: KickoffForm | None = None,
        concurrency: int = 10,
        on_progress: Told | None = None,
        resume: Report[Run] | None = None,
        retry_unknown: bool = False,
        skip_invalid: bool = False,
        options: RequestOptions | None = None,
    ) -> Bulk[Run]:
        """Return a bulk of launches of one template; awaiting it launches and gives the report.

        Args:
            rows: mappings of the arguments of ``launch`` and a ``key``, or the lines that ``bulk.read_csv`` returns.
                Of those, the columns ``key``, ``name``, ``summary``, ``owner_id``, ``parent_id``, ``tags`` and
                ``folders`` (several separated by semicolons) are the run's, the others labels, aliases or ids of
                kick-off fields; blank cells are no answers. A row without key goes by its number, from 1.
            checklist_id: the template. It is read once, or not at all where its ``form`` is given.
            form: the kick-off form, from ``checklists.kickoff_form``.
            concurrency: how many launches are under way at once.
            on_progress: called with the row and the report after every launch; may be asynchronous.
            resume: the report of an earlier bulk, which is written on; rows that are done are not launched again.
            retry_unknown: whether rows that may have been launched are launched again.
            skip_invalid: whether rows that do not fit the form are written down as refused, and the others launched.
            options: for every request.

        ``bulk.report`` can be read while it runs and after a cancellation. Awaiting raises KickoffError with the
        problems of all rows before the first launch, unless ``skip_invalid``; what the reading of the template raises;
        ConfigurationError for a key that occurs twice, or is done in the report but was another row then. What a launch
        raises is in the report; a credential that is refused stops the rest (contract: launch_run).
        """
        from tallyfy_async.resources.launching import LaunchMany  # noqa: PLC0415 - lazy: one launch needs none of it

        many = LaunchMany(
            checklist_id=checklist_id,
            form=form,
            read=partial(self._kickoff_form, checklist_id, options),
            launch=partial(self._launch, options=options),
            skip_invalid=skip_invalid,
        )
        return many.bulk(
            rows,
            concurrency=concurrency,
            on_progress=on_progress,
            resume=resume,
            retry_unknown=retry_unknown,
        )

    async def _launch(self, payload: Mapping[str, Any], *, options: RequestOptions | None) -> Run:
        return await self._item(LAUNCH, Run, payload=payload, options=options)

    async def _kickoff_form(self, checklist_id: str, options: RequestOptions | None) -> KickoffForm:
        from tallyfy_async.resources.checklists import Checklists  # noqa: PLC0415 - lazy: plain launches need none

        return await Checklists(self._engine, self._values).kickoff_form(checklist_id, options=options)

    async def update(self, run_id: str, *, options: RequestOptions | None = None, **fields: Unpack[RunUpdate]) -> Run:
        """Change a run; what is not given stays as it is (contract: update_run).

        The server empties ``users`` and ``groups`` when a request lacks them, so the run is read first and the missing
        ones are sent again; ``replace`` does without the read. Raises ConfigurationError where that read lacks them.
        """
        body = changes(RunUpdate, fields, "runs.update")
        if not body.keys() >= {"users", "groups"}:
            body = {**_members(await self.get(run_id, options=options)), **body}
        return await self._item(UPDATE, Run, {"run_id": run_id}, payload=body, options=options)

    async def replace(self, run_id: str, *, options: RequestOptions | None = None, **fields: Unpack[RunReplace]) -> Run:
        """Change a run in one request; ``users`` and ``groups`` are needed and replaced whole (contract: update_run).

        Whoever is not in them is detached from the run. The other fields stay unless they are given.
        """
        body = changes(RunReplace, fields, "runs.replace")
        return await self._item(UPDATE, Run, {"run_id": run_id}, payload=body, options=options)

    async def archive(self, run_id: str, *, options: RequestOptions | None = None) -> None:
        """Archive a run with its tasks, comments and files; ``activate`` brings them back (contract: archive_run).

        Raises PermissionDeniedError for light members, NotFoundError where the run is archived already.
        """
        await self._call(ARCHIVE, {"run_id": run_id}, options=options)

    async def activate(self, run_id: str, *, options: RequestOptions | None = None) -> Run:
        """Bring an archived run back, in the state that it had (contract: activate_run)."""
        return await self._item(ACTIVATE, Run, {"run_id": run_id}, options=options)

    async def delete(self, run_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete an archived run for good, with tasks, comments, values, files, tags and watchers.

        Raises PermissionDeniedError for anybody but administrators, ValidationError or NotFoundError where the run is
        not archived (contract: delete_run).
        """
        await self._call(DELETE, {"run_id": run_id}, options=options)

    async def complete_prerun(self, run_id: str, *, options: RequestOptions | None = None) -> Run:
        """Mark the kick-off form of a run as submitted; answers travel with ``update`` (contract: complete_prerun)."""
        return await self._item(COMPLETE_PRERUN, Run, {"run_id": run_id}, options=options)

    async def reopen_prerun(self, run_id: str, *, options: RequestOptions | None = None) -> Run:
        """Open the kick-off form of a run again (contract: reopen_prerun)."""
        return await self._item(REOPEN_PRERUN, Run, {"run_id": run_id}, options=options)

    async def export(self, run_id: str, *, options: RequestOptions | None = None) -> Any:
        """Export a run; returns the JSON as it came, whose structure is not published (contract: export_run).

        Inferred: no official document shows it.
        """
        return (await self._call(EXPORT, {"run_id": run_id}, options=options)).data


class _Values(TypedDict, total=False):
    form_fields_values: bool


def _members(run: Run) -> dict[str, Any]:
    users, groups = run.user_ids, run.group_ids
    if users is None or groups is None:
        msg = "the run was read without users or groups, which the server would empty: pass both to runs.update"
        raise ConfigurationError(msg)
    return {"users": list(users), "groups": list(groups)}
