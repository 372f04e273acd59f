"""``export``: a whole organization to a SQLite file or to a directory of NDJSON files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tallyfy_async import export
from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.session import Session
from tallyfy_async.client import TallyfyClient
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.export import ExportReport, KindReport
from tallyfy_async.export import Progress as Told

Format = Literal["sqlite", "ndjson"]
_FILES = (".db", ".sqlite", ".sqlite3")


def format_of(target: str | os.PathLike[str]) -> Format:
    """Return what a target's name stands for: SQLite where it ends as such files do, else a directory of NDJSON."""
    return "sqlite" if Path(target).suffix.lower() in _FILES else "ndjson"


def moment_of(text: str) -> datetime:
    """Return an ISO 8601 moment or day, in UTC where it names no zone; raise ConfigurationError for other text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"--since: {text!r} is no date and no moment such as 2026-11-22T09:00:00Z"
        raise ConfigurationError(msg) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def run_export(
    client: TallyfyClient,
    organization: str | None,
    target: str | os.PathLike[str],
    format_: Format | None = None,
    since: datetime | None = None,
    *,
    show: Callable[[Told], object] | None = None,
    kinds: Sequence[str] | None = None,
    resume: bool = True,
) -> ExportReport:
    """Export an organization to ``target`` and return the report.

    ``format_`` is what the target's name stands for, if not given; ``show`` hears of every page. Raises what
    ``export.to_sqlite`` raises.
    """
    write = export.to_sqlite if (format_ or format_of(target)) == "sqlite" else export.to_ndjson
    org = client.organization(organization)
    return await write(org, target, kinds=kinds, since=since, resume=resume, progress=show)


async def export_organization(
    session: Session,
    target: Annotated[Path, typer.Argument(help="A file ending in .db or .sqlite, else a directory of NDJSON files.")],
    *,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="sqlite|ndjson", help="Whatever the target's name.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="MOMENT", help="Only what changed since, by the server's dates."),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help=f"Only this; repeatable. Of {', '.join(export.KINDS)}.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew although an export was interrupted.")] = False,
) -> ExitCode:
    """Export a whole organization; called again after a kill it goes on, later it writes what changed."""
    chosen = _format(format_)
    moment = None if since is None else moment_of(since)
    async with session.connect() as tallyfy:
        org = await session.organization(tallyfy)
        with bars() as show:
            report = await run_export(tallyfy, org.id, target, chosen, moment, show=show, kinds=kind, resume=not fresh)
    _tell(session, report)
    return ExitCode.OK


def _format(word: str | None) -> Format | None:
    match word:
        case None | "sqlite" | "ndjson":
            return word
        case _:
            msg = "--format must be sqlite or ndjson"
            raise ConfigurationError(msg)


def _tell(session: Session, report: ExportReport) -> None:
    if session.options.json:
        session.screen.json(report.to_dict())
        return
    rows = [_row(name, one) for name, one in report.kinds.items()]
    session.screen.table(["kind", "rows", "written", "removed"], rows)
    for name, why in report.refused.items():
        session.screen.say(f"not exported: {name}: {why}")
    for name, one in report.kinds.items():
        if one.unsettled:
            session.screen.say(f"{name} lost rows each time that it was read: it may lack some, so export again")
    how = "an interrupted export was completed" if report.resumed else "exported"
    session.screen.say(f"{how}: {report.rows:,} rows, {report.written:,} written, in {report.seconds:.1f} s")


def _row(name: str, one: KindReport) -> list[object]:
    return [name, one.rows, one.written, one.removed]


@contextlib.contextmanager
def bars() -> Generator[Callable[[Told], object] | None, None, None]:
    """Give what shows a bar a kind on standard error while the context lasts, None where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    known: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as shown:

        def show(told: Told) -> None:
            if told.kind not in known:
                known[told.kind] = shown.add_task(told.kind, total=None)
            total = told.rows if told.done else told.total
            shown.update(known[told.kind], completed=told.rows, total=max(total or 0, 1) if told.done else total)
            if told.done and not told.rows:
                shown.update(known[told.kind], completed=1)

        yield show
