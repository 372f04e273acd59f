"""Launches from a CSV file: checked whole before the first, written down one by one, gone on with later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from attrs import define, field, frozen

from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.screen import Screen
from tallyfy_async.engine.bulk import CSVRow, Report, Row, State, read_csv, read_report, write_csv
from tallyfy_async.errors import ConfigurationError, KickoffError
from tallyfy_async.models.forms import KickoffForm
from tallyfy_async.models.processes import Run
from tallyfy_async.organization import Organization
from tallyfy_async.resources.launching import LaunchMany

OWN_COLUMNS = frozenset({"key", "name", "summary", "owner_id", "parent_id", "tags", "folders"})
"""Columns that are the run's; ``tallyfy_…`` are those of a report, and every other one is a kick-off field."""
_OURS = "tallyfy_"


def check_heading(form: KickoffForm, columns: Sequence[str], path: Path) -> None:
    """Raise KickoffError where a column is no field of the form, or a required field has no column."""
    problems: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in columns:
        if name in OWN_COLUMNS or name.startswith(_OURS):
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
class CSVLaunch:
    """One run for every row of a file.

    Attributes:
        source: the file.
        place: where the report is kept.
        rows: what the file holds.
        earlier: the report of an earlier run of the same command, empty where there is none.

    """

    source: Path
    place: Path
    rows: Sequence[CSVRow]
    earlier: Report[Any]

    @classmethod
    def of(cls, source: Path, place: Path | None) -> CSVLaunch:
        """Read the file, and the report if there is one.

        Raises ConfigurationError for a file that cannot be read, is no CSV file or holds no row, and for a report that
        is none.
        """
        place = source.with_name(f"{source.name}.report.csv") if place is None else place
        try:
            rows = read_csv(source)
            earlier: Report[Any] = read_report(place) if place.exists() else Report()
        except OSError as error:
            msg = f"{error.filename or source}: {error.strerror or error}"
            raise ConfigurationError(msg) from None
        if not rows:
            msg = f"{source} holds no row below its heading"
            raise ConfigurationError(msg)
        if place.resolve() == source.resolve():
            msg = "the report would take the place of the file: name another one with --report"
            raise ConfigurationError(msg)
        return cls(source=source, place=place, rows=rows, earlier=earlier)

    async def run(
        self,
        screen: Screen,
        org: Organization,
        checklist_id: str,
        *,
        dry_run: bool,
        concurrency: int,
        skip_invalid: bool,
        retry_unknown: bool,
    ) -> ExitCode:
        """Launch what is left to launch and show what became of each row; ``dry_run`` only checks."""
        form = await org.checklists.kickoff_form(checklist_id)
        check_heading(form, [*self.rows[0].cells], self.source)
        before = {row.key: row.state for row in self.earlier}
        if before:
            screen.say(f"going on with {self.place}: {self.earlier.count(State.DONE)} of {len(before)} are done")
        journal = _Journal(place=self.place, rows=self.rows, report=self.earlier)
        with screen.progress("launched", len(self.rows)) as shown:
            many = LaunchMany(
                checklist_id=checklist_id,
                form=form,
                read=partial(org.checklists.kickoff_form, checklist_id),
                launch=_pretend if dry_run else partial(journal.launch, org, checklist_id),
                skip_invalid=skip_invalid or dry_run,
            )
            bulk = many.bulk(
                self.rows,
                concurrency=concurrency,
                on_progress=_unseen if dry_run else lambda _row, report: shown(report.count(State.DONE)),
                resume=self.earlier,
                retry_unknown=retry_unknown,
            )
            try:
                report = await bulk
            except BaseException:
                if journal.begun:
                    journal.write()
                raise
        if not dry_run:
            journal.write()
        return self._show(screen, report, before if dry_run else None)

    def _show(self, screen: Screen, report: Report[Any], before: Mapping[str, State] | None) -> ExitCode:
        keys = dict.fromkeys([*(row.key for row in self.rows), *(row.key for row in report)])
        rows = [_told(row, before) for key in keys if (row := report.get(key)) is not None]
        whole = {
            "dry_run": before is not None,
            "complete": report.complete,
            "report": None if before is not None else str(self.place),
            "stopped": None if report.stopped is None else str(report.stopped),
            "rows": rows,
        }
        if screen.as_json:
            screen.json(whole)
        else:
            screen.table(["row", "state", "id", "problem"], ([*row.values()] for row in rows))
        if report.stopped is not None:
            screen.say(f"stopped: {report.stopped}")
        if before is None:
            screen.say(f"the report is in {self.place}")
        return _code(report)


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


@define(eq=False, kw_only=True)
class _Journal:
    """Keeps the report on disk ahead of what happens: a launch is written down as unknown before it is sent.

    Whoever kills the process, no run is launched twice by going on. Writers that wait share the next write.
    """

    place: Path
    rows: Sequence[CSVRow]
    report: Report[Any]
    begun: bool = field(default=False, init=False)
    _asked: int = field(default=0, init=False)
    _written: int = field(default=0, init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def launch(self, org: Organization, checklist_id: str, payload: Mapping[str, Any]) -> Run:
        await self._save()
        fields: dict[str, Any] = {name: value for name, value in payload.items() if name != "checklist_id"}
        return await org.runs.launch(checklist_id, **fields)

    async def _save(self) -> None:
        self.begun = True
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self._written < mine:
                asked = self._asked
                await to_thread.run_sync(self.write)
                self._written = asked

    def write(self) -> None:
        """Write the report; raise ConfigurationError where it cannot be written."""
        try:
            write_csv(self.place, self.report, beside=self.rows)
        except OSError as error:
            msg = f"the report {self.place} cannot be written: {error.strerror or error}"
            raise ConfigurationError(msg) from None
