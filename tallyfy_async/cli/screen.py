"""What the commands show: results on standard output, as a table or as JSON; everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from attrs import frozen
from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tallyfy_async.models.base import Model

Columns: TypeAlias = Sequence[tuple[str, str]]
"""Headings, and the attribute of an item that stands below each, such as ``progress.percent``."""
_ANY_WIDTH = 2**15


def plain(value: object) -> str:
    """Return a value as one line of text without what a terminal would take for commands."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = moment(value) if isinstance(value, datetime) else str(value)
    return "".join(sign if sign.isprintable() else " " for sign in text)


def moment(value: datetime) -> str:
    """Return a moment in UTC, to the minute."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def _cell(item: Any, path: str) -> Any:
    for name in path.split("."):
        item = None if item is None else getattr(item, name)
    return item


@frozen(kw_only=True)
class Screen:
    """Where a command writes.

    Attributes:
        as_json: results are JSON texts, each the only thing on standard output.

    """

    as_json: bool = False

    def items(self, items: Sequence[Model], columns: Columns) -> None:
        """Show a list: a table with these columns, or an array of the API's own objects."""
        if self.as_json:
            self.json([item.to_dict() for item in items])
        else:
            self.table([name for name, _ in columns], ([_cell(item, path) for _, path in columns] for item in items))

    def item(self, item: Model, columns: Columns) -> None:
        """Show one thing: a line for each of its columns, or the API's own object."""
        self.facts(item.to_dict(), [(name, _cell(item, path)) for name, path in columns])

    def facts(self, whole: object, lines: Iterable[tuple[str, object]]) -> None:
        """Show names with their values, a line each, or ``whole`` as JSON."""
        if self.as_json:
            self.json(whole)
            return
        grid = Table.grid(padding=(0, 2))
        for name, value in lines:
            grid.add_row(Text(name, style="bold"), Text(plain(value), overflow="fold"))
        self._render(grid)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        self._render(table)

    def json(self, whole: object) -> None:
        """Write a JSON text to standard output."""
        self.out(json.dumps(whole, indent=2) + "\n")

    def out(self, text: str) -> None:
        """Write to standard output."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Write a message to standard error."""
        sys.stderr.write("".join(f"{plain(line)}\n" for line in text.splitlines()))
        sys.stderr.flush()

    @contextlib.contextmanager
    def progress(self, what: str, total: int) -> Generator[Callable[[int], None], None, None]:
        """Give a function that shows how many of ``total`` are done, on standard error if that is a terminal."""
        console = Console(stderr=True)
        if not console.is_terminal:
            yield lambda _done: None
            return
        bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        with bars:
            task = bars.add_task(what, total=total)
            yield lambda done: bars.update(task, completed=done)

    def _render(self, shown: RenderableType) -> None:
        # A pipe has no width: nothing is folded there. What is rendered goes out in one piece, through one door.
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _ANY_WIDTH)
        with console.capture() as captured:
            console.print(shown)
        self.out("".join(f"{line.rstrip()}\n" for line in captured.get().strip("\n").splitlines()))


def hush() -> None:
    """Let what is still to be written to a closed pipe go nowhere, so that the end of the process is silent."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
