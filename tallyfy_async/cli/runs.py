"""``runs``, which the web app calls processes: listed, launched, archived."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tallyfy_async.cli.checklists import Limit
from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.launches import CSVLaunch, Wanted
from tallyfy_async.cli.screen import Columns
from tallyfy_async.cli.session import Session, given
from tallyfy_async.engine.bulk import CONCURRENCY
from tallyfy_async.errors import ConfigurationError

_COLUMNS: Columns = (
    ("id", "id"),
    ("name", "name"),
    ("status", "status"),
    ("%", "progress.percent"),
    ("created", "created_at"),
)


async def list_runs(
    session: Session,
    *,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Part of the name, in any case.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="active, complete, problem, delayed, starred and others.")
    ] = None,
    checklist: Annotated[
        str | None, typer.Option("--checklist", "--template", metavar="ID", help="Only those of one template.")
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones instead.")] = False,
    limit: Limit = None,
) -> None:
    """List the runs."""
    filters = given(q=query, status=status, checklist_id=checklist, archived="only" if archived else None)
    await session.show_list(lambda org: org.runs.list(**filters), _COLUMNS, limit)


async def archive(session: Session, run_ids: Annotated[list[str], typer.Argument(metavar="RUN_ID...")]) -> None:
    """Archive runs, one after the other; the first that is refused ends it."""
    if odd := [one for one in run_ids if not any(map(str.isalnum, one))]:  # before the first one is archived
        msg = f"{odd[0]!r} is no id of a run"
        raise ConfigurationError(msg)
    done: list[str] = []
    async with session.connect() as tallyfy:
        org = await session.organization(tallyfy)
        try:
            for run_id in run_ids:
                await org.runs.archive(run_id)
                done.append(run_id)
        finally:
            session.screen.facts({"archived": done}, [("archived", one) for one in done])


async def launch(
    session: Session,
    checklist_id: Annotated[str, typer.Argument(metavar="CHECKLIST_ID", help="The template.")],
    *,
    name: Annotated[str | None, typer.Option("--name", help="Of the run.")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="FIELD=ANSWER", help="Of the kick-off form, by label, alias or id."),
    ] = None,
    from_csv: Annotated[Path | None, typer.Option("--from-csv", metavar="FILE", help="One run for every row.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, launch nothing.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="What became of each row (default: FILE.report.csv)."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=50, help=f"Launches at once (default: {CONCURRENCY}).")
    ] = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Launch the rows that fit.")] = False,
    retry_unknown: Annotated[
        bool, typer.Option("--retry-unknown", help="Launch rows again that may have been launched.")
    ] = False,
) -> ExitCode:
    """Launch a run from a template, or one for every row of a CSV file.

    The columns of the file are labels, aliases or ids of kick-off fields, and name, summary, owner_id, parent_id, tags,
    folders and key. What became of each row is written to a report; the same command again goes on with what is left.
    """
    if from_csv is None:
        only = {"--report": report, "--concurrency": concurrency, "--skip-invalid": skip_invalid}
        _refuse("--from-csv", {**only, "--retry-unknown": retry_unknown})
        return await _launch_one(session, checklist_id, name, _answers(fields or []), dry_run=dry_run)
    if name is not None or fields:
        msg = "--name and --field do not go with --from-csv: they are columns there"
        raise ConfigurationError(msg)
    many = CSVLaunch.of(from_csv, report)
    async with session.connect() as tallyfy:
        org = await session.organization(tallyfy)
        wanted = Wanted(
            dry_run=dry_run,
            concurrency=concurrency or CONCURRENCY,
            skip_invalid=skip_invalid,
            retry_unknown=retry_unknown,
        )
        return await many.run(session.screen, org, checklist_id, wanted)


def _refuse(other: str, given: dict[str, Any]) -> None:
    if names := [name for name, value in given.items() if value]:
        msg = f"{' and '.join(names)} only with {other}"
        raise ConfigurationError(msg)


def _answers(fields: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in fields:
        label, sign, answer = one.partition("=")
        if not sign or not label.strip():
            msg = f"--field {one}: it takes FIELD=ANSWER"
            raise ConfigurationError(msg)
        if label in found:
            msg = f"--field {label} is there twice; several answers of one field are separated by semicolons"
            raise ConfigurationError(msg)
        found[label] = answer
    return found


async def _launch_one(
    session: Session, checklist_id: str, name: str | None, answers: dict[str, str], *, dry_run: bool
) -> ExitCode:
    async with session.connect() as tallyfy:
        org = await session.organization(tallyfy)
        form = await org.checklists.kickoff_form(checklist_id)
        kickoff = form.fill(form.parse(answers))
        if dry_run:
            whole = {"dry_run": True, "checklist_id": checklist_id, "name": name, "prerun": dict(kickoff.prerun)}
            shown = form.decode(kickoff.prerun).items()
            session.screen.facts(whole, [("would launch", name or checklist_id), *shown])
            return ExitCode.OK
        fields: dict[str, Any] = {} if name is None else {"name": name}
        run = await org.runs.launch(checklist_id, kickoff=kickoff, **fields)
    session.screen.item(run, _COLUMNS)
    return ExitCode.OK
