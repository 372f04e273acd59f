"""``python -m tallyfy_async`` and ``tallyfy-async``: hand over to the command that is named.

Some commands work without any extra; the others are those of the extra ``cli``, which also helps and completes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from tallyfy_async import __version__
from tallyfy_async.cli.index import APP, OWN


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
    for name, command in {**OWN, **APP}.items():
        commands.add_parser(name, help=command.summary, add_help=False)
    return line


def _missing_extras() -> str | None:
    """Name the commands that cannot run as things are, and the remedies."""
    lame: dict[str, list[str]] = {}
    for name, command in {**OWN, **APP}.items():
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
    try:
        return _run(words)
    except KeyboardInterrupt:  # while a command is loaded, or by one that does not tell
        sys.stderr.write("interrupted\n")
        return 130


def _run(words: list[str]) -> int:
    if words and words[0] in OWN:
        run: Callable[[Sequence[str]], int] = import_module(OWN[words[0]].module).main
        return run(words[1:])
    absent = APP["whoami"].missing
    if absent is None:
        whole: Callable[[Sequence[str]], int] = import_module("tallyfy_async.cli.app").main
        return whole(words)
    if words and words[0] in APP:
        return _lacks_extra(f'{words[0]} needs an extra: pip install "tallyfy-async[cli]" ({absent} is missing)', words)
    parser().parse_args(words)  # help, version, or the error: it does not come back
    return 2


def _lacks_extra(told: str, words: list[str]) -> int:
    from tallyfy_async.cli.output import complain  # noqa: PLC0415 - lazy: most commands load it themselves
    from tallyfy_async.engine.report import Problem  # noqa: PLC0415 - as above

    complain(told, Problem(kind="ConfigurationError", message=told), 2, as_json="--json" in words)
    return 2


if __name__ == "__main__":
    sys.exit(main())
