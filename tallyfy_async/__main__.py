"""``python -m tallyfy_async``: hands over to the command that is named. It works without any extra."""

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
    """Where a command lives, what it does, and the packages of its extra ``sandbox``."""

    module: str
    summary: str
    needs: tuple[str, ...] = ()


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
}


def parser() -> argparse.ArgumentParser:
    """Build the command line; the commands parse their own options."""
    line = argparse.ArgumentParser(
        prog="python -m tallyfy_async",
        description="Asyncio-native, typed Python SDK for the Tallyfy REST API.",
        epilog=_missing_extra() or "COMMAND --help tells the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    line.add_argument("--version", action="version", version=f"tallyfy-async {__version__}")
    commands = line.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        commands.add_parser(name, help=command.summary, add_help=False)
    return line


def _missing_extra() -> str | None:
    """Name the commands that cannot run as things are, and the remedy."""
    lame = [name for name, command in _COMMANDS.items() if any(find_spec(package) is None for package in command.needs)]
    if not lame:
        return None
    return f'not installed: what {" and ".join(lame)} need. The remedy: pip install "tallyfy-async[sandbox]"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in _COMMANDS:
        parser().parse_args(words)  # help, version, or the error: it does not come back
        return 2
    run: Callable[[Sequence[str]], int] = import_module(_COMMANDS[words[0]].module).main
    return run(words[1:])


if __name__ == "__main__":
    sys.exit(main())
