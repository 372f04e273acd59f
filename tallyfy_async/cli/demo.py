"""The command line of the demo."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio

from tallyfy_async.cli import output
from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.line import Line
from tallyfy_async.demo import job
from tallyfy_async.demo.process import second_process
from tallyfy_async.engine.report import Problem
from tallyfy_async.errors import ConfigurationError, TallyfyError

if TYPE_CHECKING:
    from tallyfy_async.demo.tally import Report

MISSING = 'the demo needs an extra that is not installed: pip install "tallyfy-async[sandbox]" ({} is missing)'
_OWN = {"seed": 0, "tasks": 5000, "faults": "some", "token_life": 2, "seconds": 4.5}
_RUNS = 300
_RUN_PAGES, _TASK_PAGES = 12, 200
_LARGEST_PAGE = 100


def parser() -> Line:
    """Build the command line."""
    line = Line(
        prog="python -m tallyfy_async demo",
        description="Read a whole organization concurrently while tokens expire, limits strike and connections break; "
        "then launch a run, complete a task, and prove that nothing is missing, doubled or wasted.",
        epilog="Exit status: 0 all is well; 1 something is missing, doubled or wasted, or the run failed; 2 usage, or "
        "the extra is missing; 130 interrupted. With --url only the reading part runs, and nothing is written.",
    )
    line.add_argument("--json", action="store_true", help="print the result as JSON, and errors too")
    own = line.add_argument_group("on a sandbox of its own (the default)")
    own.add_argument("--seed", type=int, help=f"decides rows, ids and faults (default: {_OWN['seed']})")
    own.add_argument("--tasks", type=_positive_int, help=f"tasks in the organization (default: {_OWN['tasks']})")
    own.add_argument("--faults", choices=("none", "some", "many"), help=f"bad weather (default: {_OWN['faults']})")
    own.add_argument(
        "--token-life", type=_positive_int, metavar="SECONDS", help=f"of access tokens (default: {_OWN['token_life']})"
    )
    own.add_argument(
        "--seconds", type=_positive, help=f"about what slow replies make the reading last (default: {_OWN['seconds']})"
    )
    other = line.add_argument_group("on any other server")
    other.add_argument("--url", help="base URL, such as https://go.tallyfy.com/api")
    other.add_argument("--token", help="personal access token (default: the variable TALLYFY_ACCESS_TOKEN)")
    other.add_argument("--organization", help="its id (default: TALLYFY_ORGANIZATION, or the user's only one)")
    return line


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError("a number of more than 0 is needed")


def _positive_int(text: str) -> int:
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")


def main(arguments: Sequence[str] | None = None, *, look: job.Look = job.look) -> int:
    """Run the demo; return the exit status. ``look`` fetches the truth to compare with."""
    options = _options(arguments)
    fail = partial(output.complain, as_json=options.json)
    needed = ("rich",) if options.url else ("rich", "starlette", "uvicorn")
    for name in needed:
        if find_spec(name) is None:
            missing = MISSING.format(name)
            fail(missing, Problem(kind="ConfigurationError", message=missing), ExitCode.USAGE)
            return ExitCode.USAGE
    try:
        return _elsewhere(options) if options.url else _on_sandbox(options, look)
    except KeyboardInterrupt:
        status = ExitCode.INTERRUPTED
        fail("interrupted", Problem(kind="Interrupted", message="interrupted"), status)
    except ConfigurationError as error:
        status = ExitCode.USAGE
        fail(f"{error}", error, status)
    except TallyfyError as error:
        status = ExitCode.FAILED
        fail(f"the demo failed: {type(error).__name__}: {error}", error, status)
    return status


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; the two groups of options exclude each other."""
    line = parser()
    options = line.parse_args(arguments)
    given = [name for name in _OWN if getattr(options, name) is not None]
    if options.url:
        if given:
            line.error(f"--{given[0].replace('_', '-')} belongs to the sandbox and does not go with --url")
        options.token = options.token or os.environ.get("TALLYFY_ACCESS_TOKEN")
        options.organization = options.organization or os.environ.get("TALLYFY_ORGANIZATION")
        if not options.token:
            line.error("--url needs --token, or the variable TALLYFY_ACCESS_TOKEN")
    elif options.token or options.organization:
        line.error("--token and --organization go with --url")
    for name in _OWN.keys() - set(given):
        setattr(options, name, _OWN[name])
    return options


def _on_sandbox(options: argparse.Namespace, look: job.Look) -> int:
    from tallyfy_async.demo import show  # noqa: PLC0415 - rich belongs to the extra

    runs = max(1, min(_RUNS, options.tasks // 16))
    task_page = _page(options.tasks, _TASK_PAGES)
    latency = min(1.0, options.seconds * job.WIDTH / math.ceil(options.tasks / task_page))
    settings = {
        "seed": options.seed,
        "runs": runs,
        "tasks": options.tasks,
        "token-life": options.token_life,
        "faults": options.faults,
        "latency": f"{latency:.3f}",
    }
    screen = show.Screen()
    with second_process([text for name, value in settings.items() for text in (f"--{name}", str(value))]) as started:
        screen.say(_scene(started[0], options, runs))
        report = anyio.run(
            partial(job.on_sandbox, *started, screen, run_page=_page(runs, _RUN_PAGES), task_page=task_page, look=look)
        )
    title = f"tallyfy_async demo: seed {options.seed}, faults {options.faults}, tokens live {options.token_life} s"
    remark = "Nothing is missing, nothing came twice, no token request was wasted."
    return _close(report, title, remark, as_json=options.json)


def _page(items: int, pages: int) -> int:
    """Return the page size that makes about so many pages, whatever the size of the organization."""
    return min(_LARGEST_PAGE, max(1, math.ceil(items / pages)))


def _scene(url: str, options: argparse.Namespace, runs: int) -> str:
    return (
        f"Sandbox in a second process: {url}\n"
        f"{runs:,} runs, {options.tasks:,} tasks; access tokens live {options.token_life} s; faults: {options.faults}"
    )


def _elsewhere(options: argparse.Namespace) -> int:
    from tallyfy_async.demo import show  # noqa: PLC0415 - as above

    screen = show.Screen()
    report = anyio.run(partial(job.elsewhere, options.url, options.token, options.organization, screen))
    whole = report.missing is not None
    remark = "Nothing is missing, nothing came twice." if whole else "Nothing came twice; the total is not told."
    return _close(report, f"tallyfy_async demo: {options.url}", remark, as_json=options.json)


def _close(report: Report, title: str, remark: str, *, as_json: bool) -> int:
    from tallyfy_async.demo import show  # noqa: PLC0415 - as above

    text = json.dumps(report.to_dict(), indent=2) + "\n" if as_json else show.report_text(report, title, remark)
    return output.written(text, as_json=as_json) or int(bool(report.problems()))
