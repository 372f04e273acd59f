"""The command line of those commands that parse their own words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.output import complain
from tallyfy_async.engine.report import Problem


class Line(argparse.ArgumentParser):
    """Tells what is wrong with a command line as JSON where that is asked for."""

    _as_json = False

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Parse what is known of a command line, that of the process if none is given; also those of subcommands."""
        words = list(sys.argv[1:] if args is None else args)
        self._as_json = "--json" in words
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong on standard error, and end."""
        if not self._as_json:
            super().error(message)
        complain(message, Problem(kind="UsageError", message=message), ExitCode.USAGE, as_json=True)
        sys.exit(ExitCode.USAGE)
