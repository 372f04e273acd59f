"""``python -m tallyfy_async`` and ``tallyfy-async``: hand over to the command that is named.

Some commands work without any extra; the others are those of the extra ``cli``, which also helps and completes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec

from attrs import frozen

from tallyfy_async import __version__


@frozen
class _Command:
    """Where a command lives, what it does, and the packages of its extra."""

    module: str
    summary: str
    needs: tuple[str, ...] = ()
    extra: str = "sandbox"

    @property
    def missing(self) -> str | None:
        """The first package that is needed and absent, None for none."""
        return next((package for package in self.needs if find_spec(package) is None), None)


def _of_app(summary: str) -> _Command:
    return _Command("tallyfy_async.cli.app", summary, ("typer", "rich"), "cli")


_SERVER = ("jsonschema_rs", "openapi_ui_bundles", "starlette", "uvicorn")
_COMMANDS = {
    "demo": _Command(
        "tallyfy_async.demo.command",
        "read a whole organization through expiring tokens and faults, and prove it",
        ("rich", *_SERVER),
    ),
    "sandbox": _Command("tallyfy_async.sandbox.__main__", "serve a local Tallyfy", _SERVER),
    "login": _Command("tallyfy_async.cli.login", "log in with a browser and keep the token"),
    "operations": _Command("tallyfy_async.cli.operations", "list the API operations that the package performs"),
    "endpoints": _Command("tallyfy_async.scan.command", "find old endpoints and client mistakes in source trees"),
}
_APP = {
    "whoami": _of_app("show user, organization and token"),
    "logout": _of_app("end the login that is kept"),
    "organizations": _of_app("list the organizations that you belong to"),
    "checklists": _of_app("templates: list"),
    "templates": _of_app("the same as checklists"),
    "runs": _of_app("processes: list, launch (also from a CSV file), archive"),
    "processes": _of_app("the same as runs"),
    "tasks": _of_app("tasks: list, complete, reopen"),
    "export": _of_app("a whole organization to SQLite or NDJSON, again and again"),
    "doctor": _of_app("check versions, credentials, token, server, clock, user and organization"),
}
"""Commands of the extra ``cli``; what it does not know here, such as help and completion, goes to it too."""


def parser() -> argparse.ArgumentParser:
    """Build the command line that there is without the extra ``cli``; the commands parse their own options."""
    line = argparse.ArgumentParser(
        prog="python -m tallyfy_async",
        description="Asyncio-native, typed Python SDK for the Tallyfy REST API.",
        epilog=_missing_extras() or "COMMAND --help tells the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("--version", action="version", version=f"tallyfy-async {__version__}")
    commands = line.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in {**_COMMANDS, **_APP}.items():
        commands.add_parser(name, help=command.summary, add_help=False)
    return line


def _missing_extras() -> str | None:
    """Name the commands that cannot run as things are, and the remedies."""
    lame: dict[str, list[str]] = {}
    for name, command in {**_COMMANDS, **_APP}.items():
        if command.missing is not None:
            lame.setdefault(command.extra, []).append(name)
    told = [
        f'not installed: what {_listed(names)} need. The remedy: pip install "tallyfy-async[{extra}]"'
        for extra, names in lame.items()
    ]
    return "\n".join(told) or None


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _COMMANDS:
        run: Callable[[Sequence[str]], int] = import_module(_COMMANDS[words[0]].module).main
        return run(words[1:])
    absent = _of_app("").missing
    if absent is None:
        whole: Callable[[Sequence[str]], int] = import_module("tallyfy_async.cli.app").main
        return whole(words)
    if words and words[0] in _APP:
        sys.stderr.write(f'{words[0]} needs an extra: pip install "tallyfy-async[cli]" ({absent} is missing)\n')
        return 2
    parser().parse_args(words)  # help, version, or the error: it does not come back
    return 2


if __name__ == "__main__":
    sys.exit(main())
