"""What the commands show: results on standard output, as a table or as JSON; everything else on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain
from typing import Any, TypeAlias

from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tallyfy_async.cli import output
from tallyfy_async.cli.output import plain
from tallyfy_async.cli.table import GAP, fitting, lines
from tallyfy_async.models.base import Model

Columns: TypeAlias = Sequence[tuple[str, str]]
"""Headings, and the attribute of an item that stands below each, such as ``progress.percent``."""


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
            output.out_json([item.to_dict() for item in items])
        else:
            self.table([name for name, _ in columns], ([_cell(item, path) for _, path in columns] for item in items))

    def item(self, item: Model, columns: Columns) -> None:
        """Show one thing: a line for each of its columns, or the API's own object."""
        self.facts(item.to_dict(), [(name, _cell(item, path)) for name, path in columns])

    def facts(self, whole: object, facts: Iterable[tuple[str, object]]) -> None:
        """Show names with their values, a line each, or ``whole`` as JSON."""
        if self.as_json:
            output.out_json(whole)
            return
        paper, rows = _Paper.now(), [(name, plain(value)) for name, value in facts]
        shown = lines(rows, fitting(rows, paper.width), paper.console)
        paper.write((paper.bold(name), value) for name, value in shown)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table."""
        paper, body = _Paper.now(), [[plain(cell) for cell in row] for row in rows]
        widths = fitting([headings, *body], paper.width)
        head = ([paper.bold(cell) for cell in line] for line in lines([headings], widths, paper.console))
        paper.write(chain(head, [[paper.rule(widths)]], lines(body, widths, paper.console)))

    def json(self, whole: object) -> None:
        """Write a JSON text to standard output."""
        output.out_json(whole)

    def say(self, text: str) -> None:
        """Write a message to standard error, but for those who asked for JSON: the result says it all."""
        if not self.as_json:
            output.say(text)

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


@frozen
class _Paper:
    """What a table is written on: a terminal of some width, or a pipe, in which nothing is folded."""

    console: Console
    width: int | None

    @classmethod
    def now(cls) -> _Paper:
        console = Console()
        return cls(console, console.width if sys.stdout is not None and sys.stdout.isatty() else None)

    def bold(self, text: str) -> str:
        """Return a text as it is made bold here."""
        plain_one = not self.console.is_terminal or self.console.is_dumb_terminal or self.console.legacy_windows
        return text if plain_one else f"\x1b[1m{text}\x1b[0m"

    def rule(self, widths: Sequence[int]) -> str:
        """Return the line below the headings."""
        sign = "─" if output.encodable("─", sys.stdout) else "-"
        return GAP.join(sign * width for width in widths)

    def write(self, shown: Iterable[Sequence[str]]) -> None:
        """Write lines, in one piece and through one door."""
        output.out("".join(f"{GAP.join(cells).rstrip()}\n" for cells in shown))
