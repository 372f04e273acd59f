"""Keep a copy of an organization in SQLite, and tell what is late: ``python sync.py organization.db``, from cron.

It needs ``pip install tallyfy-async`` and reads TALLYFY_ACCESS_TOKEN, TALLYFY_ORGANIZATION and TALLYFY_BASE_URL. A call
brings what changed since the last one; once a day it reads everything, because only then what was deleted is seen.
Killed at any moment, it goes on where it was. ``--loop trio`` and ``--loop uvloop`` run it on those event loops, where
they are installed.
"""

import argparse
import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from tallyfy_async import AuthError, RateLimitError, ServerError, TallyfyClient, TransportError, export

WHOLE_EVERY = timedelta(days=1)
OVERLAP = timedelta(minutes=5)  # for clocks that differ
LOOPS = {"asyncio": ("asyncio", {}), "uvloop": ("asyncio", {"use_uvloop": True}), "trio": ("trio", {})}
LATE = """
    SELECT runs.name, count(*) AS late FROM tasks JOIN runs ON runs.id = tasks.run_id
    WHERE tasks.completed_at IS NULL AND tasks.archived_at IS NULL AND runs.archived_at IS NULL
      AND datetime(tasks.deadline) < datetime(?)
    GROUP BY runs.id ORDER BY late DESC, runs.name LIMIT 10
"""


async def sync(database: Path, *, whole: bool = False) -> export.ExportReport:
    """Bring a copy up to date, and note beside it since when the next call has to ask."""
    known = noted(database)
    if known is None or whole or datetime.now(UTC) - known["whole"] >= WHOLE_EVERY:
        since = None
    else:
        since = known["since"] - OVERLAP
    async with TallyfyClient.from_env() as tallyfy:
        report = await export.to_sqlite(tallyfy.organization(), database, since=since, progress=tell)
    note(database, since=report.started, whole=report.started if since is None or known is None else known["whole"])
    return report


def noted(database: Path) -> dict[str, datetime] | None:
    """Return since when to ask, and when everything was read; None where there is no copy yet."""
    notes = database.with_suffix(".json")
    if not notes.exists() or not database.exists():
        return None
    return {name: datetime.fromisoformat(text) for name, text in json.loads(notes.read_text("utf-8")).items()}


def note(database: Path, **moments: datetime) -> None:
    """Write beside the file and rename: a kill in between leaves the old notes, and the next call asks for more."""
    fresh = database.with_suffix(".new")
    fresh.write_text(json.dumps({name: moment.isoformat() for name, moment in moments.items()}), "utf-8")
    fresh.replace(database.with_suffix(".json"))


def tell(progress: export.Progress) -> None:
    if progress.done:
        print(f"{progress.kind}: {progress.rows}", file=sys.stderr)


def late(database: Path, now: datetime) -> list[tuple[str, int]]:
    """Return the ten runs with most late tasks: no server is asked for that."""
    with closing(sqlite3.connect(database)) as copy:
        return copy.execute(LATE, [now.isoformat()]).fetchall()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path)
    parser.add_argument("--whole", action="store_true", help="read everything, as is done once a day anyway")
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    given = parser.parse_args()
    backend, options = LOOPS[given.loop]
    try:
        report = anyio.run(lambda: sync(given.database, whole=given.whole), backend=backend, backend_options=options)
    except (AuthError, RateLimitError, ServerError, TransportError) as error:
        print(f"not synced: {error}", file=sys.stderr)
        return 77 if isinstance(error, AuthError) else 75  # sysexits: no permission, try again later
    written = sum(kind.written for kind in report.kinds.values())
    print(f"{report.rows} rows, {written} written in {report.seconds:.1f} s")
    for name, count in late(given.database, datetime.now(UTC)):
        print(f"{count} late: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
