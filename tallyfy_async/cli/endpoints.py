"""``python -m tallyfy_async endpoints check PATH…``: needs no extra."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from attrs import evolve

from tallyfy_async import __version__
from tallyfy_async.cli import output
from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.line import Line
from tallyfy_async.engine.report import Problem
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.scan.findings import Finding
from tallyfy_async.scan.fix import Fixed, fix
from tallyfy_async.scan.report import json_text, printable, sarif_text, text_line
from tallyfy_async.scan.source import LARGEST, Skipped
from tallyfy_async.scan.tree import EXCLUDED, Tally, scan

_EVERY = 64


def parser() -> Line:
    """Build the command line."""
    line = Line(prog="python -m tallyfy_async endpoints", description="Look after old endpoints.")
    commands = line.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="find old endpoints and client mistakes in source trees",
        description="Find the endpoints that Tallyfy renamed or removed on 2018-11-08, requests without "
        "X-Tallyfy-Client, JSON bodies to /auth/login, and secrets, in Python by its syntax tree and in any other text "
        "by pattern. A line with 'tallyfy: ignore' is left out.",
        epilog="Exit status: 0 nothing found, or everything fixed; 1 something found, or the result could not be "
        "written; 2 usage; 130 interrupted.",
    )
    check.add_argument("paths", nargs="+", metavar="PATH", help="file or folder")
    form = check.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("text", "json", "sarif"), default="text", help="default: text")
    form.add_argument("--json", action="store_true", help="the same as --format json, and errors too")
    check.add_argument("--fix", action="store_true", help="rewrite pure renames in place, after showing a diff")
    check.add_argument("--diff", action="store_true", help="show what --fix would do, and write nothing")
    check.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help=f"leave out such names or paths (can be repeated), besides {', '.join(EXCLUDED)}",
    )
    check.add_argument(
        "--max-size", type=_size, default=LARGEST, metavar="BYTES", help=f"skip larger files (default: {LARGEST})"
    )
    check.add_argument(
        "--any-file",
        action="store_true",
        help="take paths such as /countries for Tallyfy's also in files that do not mention it",
    )
    return line


def _size(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = parser().parse_args(arguments)
    fail = partial(output.complain, as_json=options.json)
    try:
        return _check(options)
    except ConfigurationError as error:
        status = ExitCode.USAGE
        fail(f"{error}", error, status)
    except KeyboardInterrupt:
        status = ExitCode.INTERRUPTED
        fail("interrupted", Problem(kind="Interrupted", message="interrupted"), status)
    return status


def _check(options: argparse.Namespace) -> int:
    tally = Tally()
    found = _found(options, tally)
    if options.fix or options.diff:
        found = _made_good(found, options)
    text = _text("json" if options.json else options.format, found, tally)
    failed = output.written(text, as_json=options.json)
    if not options.json:
        _summary(found, tally)
    return failed or int(any(not finding.fixed for finding in found))


def _found(options: argparse.Namespace, tally: Tally) -> list[Finding]:
    progress = _progress() if sys.stderr is not None and sys.stderr.isatty() else None
    findings = scan(
        options.paths,
        exclude=options.exclude,
        largest=options.max_size,
        any_file=options.any_file,
        tally=tally,
        progress=progress,
    )
    try:
        return list(findings)
    finally:
        if progress is not None:
            output.err("\r\x1b[K")


def _progress() -> Callable[[Tally], None]:
    def show(tally: Tally) -> None:
        if tally.files % _EVERY == 0:
            output.err(f"\r\x1b[K{tally.files:,} files, {tally.findings:,} findings")

    return show


def _made_good(found: list[Finding], options: argparse.Namespace) -> list[Finding]:
    """Show a diff for every file with renames, and write it unless only the diff is wanted."""
    after: list[Finding] = []
    for path, group in groupby(found, key=lambda finding: finding.path):
        known = list(group)
        fixed = _fixed(path, known, options)
        good = {evolve(one, fixed=False): one for one in fixed.findings} if fixed is not None else {}
        after.extend(good.get(one, one) for one in known)
    return after


def _fixed(path: str, known: list[Finding], options: argparse.Namespace) -> Fixed | None:
    """Return what was written, None where nothing was."""
    try:
        fixed = fix(path, known, largest=options.max_size)
        if fixed is None:
            return None
        _say(*fixed.diff.split("\n")[:-1])
        if not options.fix:
            return None
        fixed.write()
    except (OSError, UnicodeError, Skipped) as error:
        _say(f"not fixed: {path}: {error}")
        return None
    return fixed


def _text(form: str, found: Sequence[Finding], tally: Tally) -> str:
    if form == "json":
        return json_text(found, tally) + "\n"
    if form == "sarif":
        return sarif_text(found, tally, __version__) + "\n"
    return "".join(f"{text_line(finding)}\n" for finding in found)


def _summary(found: Sequence[Finding], tally: Tally) -> None:
    for path, reason in tally.notes:
        _say(f"skipped: {path}: {reason}")
    fixed, fixable = sum(one.fixed for one in found), sum(one.fixable and not one.fixed for one in found)
    parts = [f"{tally.files:,} files", f"{len(found):,} found"]
    parts += [f"{fixed:,} fixed"] if fixed else []
    parts += [f"{fixable:,} that --fix can rewrite"] if fixable else []
    parts += [f"{count:,} skipped ({reason})" for reason, count in sorted(tally.skipped.items())]
    _say(", ".join(parts))


def _say(*lines: str) -> None:
    output.err("".join(f"{printable(line)}\n" for line in lines))
