"""What the demo shows: a progress bar on standard error, a table on standard output."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Iterable, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tallyfy_async.demo.job import Listing
from tallyfy_async.demo.tally import Report, Truth, Watch


class Screen:
    """The terminal on standard error; where that is none, nothing is shown."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Print a line."""
        if self._console.is_terminal:
            self._console.print(text, style="dim", markup=False)

    @contextlib.contextmanager
    def reading(self, lists: Sequence[Listing], watch: Watch) -> Generator[None, None, None]:
        """Show how far the lists are, until the context ends."""
        if not self._console.is_terminal:
            yield
            return
        with _Bars(self._console, lists, watch):
            yield


class _Bars(Progress):
    """A bar a list and a line of what went wrong meanwhile; it looks at the counters whenever it draws itself."""

    def __init__(self, console: Console, lists: Sequence[Listing], watch: Watch) -> None:
        super().__init__(
            TextColumn("  {task.description:<6}"),
            BarColumn(bar_width=32),
            _CountColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._watch = watch
        self._lists = {self.add_task(listing.name, total=listing.seen.announced): listing for listing in lists}

    def get_renderables(self) -> Iterable[RenderableType]:
        """Bring the bars up to date and return them with the line below."""
        for number, listing in getattr(self, "_lists", {}).items():
            self._bring_up(number, listing)
        yield self.make_tasks_table(self.tasks)
        if watch := getattr(self, "_watch", None):
            yield Text(f"  {_weather(watch)}", style="dim", no_wrap=True, overflow="ellipsis")

    def _bring_up(self, number: TaskID, listing: Listing) -> None:
        for task in self.tasks:
            if task.id == number:
                task.completed = listing.seen.items
                if task.finished_time is None and task.total is not None and task.completed >= task.total:
                    task.finished_time = task.elapsed


class _CountColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show "1,275 of 5,000"."""
        whole = "?" if task.total is None else f"{task.total:,.0f}"
        return Text(f"{task.completed:>7,.0f} of {whole:>6}", style="progress.download")


def _weather(watch: Watch) -> str:
    """Return the counters in one line; of "429 too many requests" the number will do."""
    words = [f"{watch.requests} requests", f"{watch.token_requests} token requests"]
    for name, times in sorted(watch.retries.items()):
        short = name.split()[0] if name[:1].isdigit() else name
        words.append(f"{short} x{times}")
    return ", ".join(words)


def report_table(report: Report) -> Table:
    """Return the table at the end."""
    table = Table(box=box.ROUNDED, show_header=False, min_width=48)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("pages", f"{report.pages:,}")
    table.add_row("items", f"{report.items:,}")
    table.add_row("  runs", f"{report.runs.items:,}", style="dim")
    table.add_row("  tasks", f"{report.tasks.items:,}", style="dim")
    missing = report.missing
    table.add_row("missing", Text("not announced") if missing is None else _good(missing, wanted=0))
    table.add_row("doubled", _good(report.doubled, wanted=0), end_section=True)
    if report.truth is not None:
        _add_truth(table, report, report.truth)
    _add_work(table, report)
    return table


def _add_truth(table: Table, report: Report, truth: Truth) -> None:
    table.add_row("runs launched", _good(truth.launched, wanted=report.launched))
    table.add_row("tasks completed", _good(truth.completed, wanted=report.completed), end_section=True)
    table.add_row("token lives", f"{truth.token_lives:,}")
    table.add_row("token requests", _good(truth.token_requests, wanted=truth.token_lives))
    unused = truth.token_lives - truth.lives_used
    table.add_row("tokens never used", _good(unused, wanted=0), end_section=True)


def _add_work(table: Table, report: Report) -> None:
    causes = sorted(report.retries.items(), key=lambda pair: (-pair[1], pair[0]))
    table.add_row("retries", f"{sum(report.retries.values()):,}", end_section=not causes)
    for number, (cause, times) in enumerate(causes, 1):
        table.add_row(f"  {cause}", f"{times:,}", style="dim", end_section=number == len(causes))
    table.add_row("requests", f"{report.requests:,}")
    table.add_row("wall time", f"{report.seconds:.1f} s")
    table.add_row("requests per second", f"{report.rate:.1f}")


def _good(number: int, *, wanted: int) -> Text:
    return Text(f"{number:,}", style="bold green" if number == wanted else "bold red")


def report_text(report: Report, title: str, remark: str) -> str:
    """Return the table and the verdict as standard output is to show them."""
    out = Console()
    paper = io.TextIOWrapper(io.BytesIO(), out.encoding, "backslashreplace", newline="")
    console = Console(file=paper, highlight=False, force_terminal=out.is_terminal, width=out.width)
    console.print(f"\n{title}", style="bold", markup=False)
    console.print(report_table(report))
    problems = report.problems()
    for problem in problems:
        console.print(f"FAILED: {problem}", style="bold red", markup=False)
    if not problems:
        console.print(remark, style="green", markup=False)
    paper.seek(0)
    return paper.read()
