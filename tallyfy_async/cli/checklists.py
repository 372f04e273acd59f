"""``checklists``, which the web app calls templates."""

from __future__ import annotations

from typing import Annotated

import typer

from tallyfy_async.cli.screen import Columns
from tallyfy_async.cli.session import Session, given

_COLUMNS: Columns = (
    ("id", "id"),
    ("title", "title"),
    ("steps", "steps_count"),
    ("runs", "started_processes"),
    ("last updated", "last_updated"),
)

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many (default: all).")]


async def list_checklists(
    session: Session,
    *,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Part of the title, in any case.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="procedure, form or document.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones instead.")] = False,
    limit: Limit = None,
) -> None:
    """List the templates."""
    filters = given(q=query, type=kind, archived="only" if archived else None)
    await session.show_list(lambda org: org.checklists.list(**filters), _COLUMNS, limit)
