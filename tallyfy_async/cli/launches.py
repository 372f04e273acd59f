"""Launches from a CSV file: checked whole before the first, written down one by one, gone on with later."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.journal import Journal
from tallyfy_async.cli.output import complain
from tallyfy_async.cli.screen import Screen
from tallyfy_async.engine.bulk import CONCURRENCY, CSVRow, Report, Row, State, read_csv
from tallyfy_async.engine.tables import OURS
from tallyfy_async.errors import ConfigurationError, KickoffError
from tallyfy_async.models.forms import KickoffForm
from tallyfy_async.models.processes import Run
from tallyfy_async.organization import Organization
from tallyfy_async.resources.launching import OWN_COLUMNS, LaunchMany

T = TypeVar("T")
_NO_FIELDS = frozenset({"key", *OWN_COLUMNS})
"""Columns that are no field of the form; ``tallyfy_…`` are those of a report."""


def check_heading(form: KickoffForm, columns: Sequence[str], path: Path) -> None:
    """Raise KickoffError where a column is no field of the form, or a required field has no column."""
    problems: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in columns:
        if name in _NO_FIELDS or name.startswith(OURS):
            continue
        try:
            known = form.field(name).id
        except KickoffError as error:
            problems |= {f"column {key}": told for key, told in error.fields.items()}
            continue
        if known in found:
            problems[f"column {name}"] = f"is the same field as {found[known]}"
        found[known] = name
    problems |= {f"field {name}": "is required and has no column" for name in _absent(form, found)}
    if problems:
        told = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        msg = f"the heading of {path} does not fit the template, nothing was launched: {told}"
        raise KickoffError(msg, fields=problems)


def _absent(form: KickoffForm, found: Mapping[str, str]) -> list[str]:
    """Return the required fields without a column, but for those whose default is the server's business."""
    try:
        form.encode({})
    except KickoffError as error:
        return [name for name in error.fields if form.field(name).id not in found]
    return []


@frozen(kw_only=True)
class Wanted:
    """How rows are to be launched.

    Attributes:
        dry_run: only checked.
        concurrency: so many at once.
        skip_invalid: those that do not fit are left out.
        retry_unknown: those that may have been launched are launched again.

    """

    dry_run: bool = False
    concurrency: int = CONCURRENCY
    skip_invalid: bool = False
    retry_unknown: bool = False


@frozen(kw_only=True)
class CSVLaunch:
    """One run for every row of a file.

    Attributes:
        source: the file.
        rows: what the file holds.
        journal: the report, with what an earlier run of the same command left in it.

    """

    source: Path
    rows: Sequence[CSVRow]
    journal: Journal

    @classmethod
    def of(cls, source: Path, place: Path | None) -> CSVLaunch:
        """Read the file, and the report if there is one.

        Raises ConfigurationError for a file that cannot be read, is no CSV file or holds no row, and for a report that
        is none.
        """
        place = source.with_name(f"{source.name}.report.csv") if place is None else place
        rows = _read(source, read_csv)
        journal = _read(place, partial(Journal.of, rows=rows))
        if not rows:
            msg = f"{source} holds no row below its heading"
            raise ConfigurationError(msg)
        if place.resolve() == source.resolve():
            msg = "the report would take the place of the file: name another one with --report"
            raise ConfigurationError(msg)
        return cls(source=source, rows=rows, journal=journal)

    async def run(self, screen: Screen, org: Organization, checklist_id: str, wanted: Wanted) -> ExitCode:
        """Launch what is left to launch and show what became of each row; a dry run only checks."""
        form = await org.checklists.kickoff_form(checklist_id)
        check_heading(form, [*self.rows[0].cells], self.source)
        journal, known = self.journal, self.journal.report
        before = {row.key: row.state for row in known}
        if before:
            screen.say(f"going on with {journal.place}: {known.count(State.DONE)} of {len(before)} are done")
        with screen.progress("launched", len(self.rows)) as shown, _closing(journal, screen) as problems:
            many = LaunchMany(
                checklist_id=checklist_id,
                form=form,
                read=partial(org.checklists.kickoff_form, checklist_id),
                launch=_pretend if wanted.dry_run else partial(self._launch, org, checklist_id),
                skip_invalid=wanted.skip_invalid or wanted.dry_run,
            )
            report = await many.bulk(
                self.rows,
                concurrency=wanted.concurrency,
                on_progress=_unseen if wanted.dry_run else lambda _row, report: shown(report.count(State.DONE)),
                resume=known,
                retry_unknown=wanted.retry_unknown,
            )
        if journal.failure is not None and not journal.begun:
            msg = f"nothing was launched: the report {journal.place} cannot be written: {journal.failure}"
            raise ConfigurationError(msg)
        code = self._show(screen, report, before if wanted.dry_run else None)
        return ExitCode.FAILED if problems and code is ExitCode.OK else code

    async def _launch(self, org: Organization, checklist_id: str, payload: Mapping[str, Any]) -> Run:
        await self.journal.save()
        fields: dict[str, Any] = {name: value for name, value in payload.items() if name != "checklist_id"}
        return await org.runs.launch(checklist_id, **fields)

    def _show(self, screen: Screen, report: Report[Any], before: Mapping[str, State] | None) -> ExitCode:
        keys = dict.fromkeys([*(row.key for row in self.rows), *(row.key for row in report)])
        rows = [_told(row, before) for key in keys if (row := report.get(key)) is not None]
        whole = {
            "dry_run": before is not None,
            "complete": report.complete,
            "report": None if before is not None else str(self.journal.place),
            "stopped": None if report.stopped is None else str(report.stopped),
            "rows": rows,
        }
        if screen.as_json:
            screen.json(whole)
        else:
            screen.table(["row", "state", "id", "problem"], ([*row.values()] for row in rows))
        if report.stopped is not None:
            screen.say(f"stopped: {report.stopped}")
        if count := report.count(State.UNKNOWN):
            screen.say(f"{count} may have been launched: look, and add --retry-unknown if they were not")
        if before is None:
            screen.say(f"the report is in {self.journal.place}")
        return _code(report)


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except OSError as error:
        msg = f"{error.filename or path}: {error.strerror or error}"
        raise ConfigurationError(msg) from None
    except ConfigurationError as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from None


@contextmanager
def _closing(journal: Journal, screen: Screen) -> Generator[list[OSError], None, None]:
    """Close a journal at the end, whatever happened; give the list of what it could not do."""
    problems: list[OSError] = []
    try:
        yield problems
    finally:
        try:
            journal.close()
        except OSError as error:
            problems.append(error)
            told = f"{journal.place} was not put in order, its last lines are the newest: {error.strerror or error}"
            complain(told, error, ExitCode.FAILED, as_json=screen.as_json)


def _told(row: Row[Any], before: Mapping[str, State] | None) -> dict[str, str | None]:
    """Return what is shown of a row; in a dry run, what would be launched is ready, not done."""
    ready = before is not None and row.state is State.DONE and before.get(row.key) is not State.DONE
    return {
        "key": row.key,
        "state": "ready" if ready else row.state.value,
        "id": row.reference,
        "problem": None if row.problem is None else str(row.problem),
    }


def _code(report: Report[Any]) -> ExitCode:
    if report.complete:
        return ExitCode.OK
    return ExitCode.UNKNOWN if report.count(State.UNKNOWN) else ExitCode.FAILED


async def _pretend(_payload: Mapping[str, Any]) -> Any:
    return None


def _unseen(_row: Row[Any], _report: Report[Any]) -> None:
    return None
