"""The command line of those commands that parse their own words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.output import complain
from tallyfy_async.engine.report import Problem


class Line(argparse.ArgumentParser):
    """Tells what is wrong with a command line as JSON where that is asked for."""

    _as_json = False

    def parsed(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse a command line, that of the process if none is given; what is wrong ends it with status 2."""
        words = sys.argv[1:] if arguments is None else arguments
        self._as_json = "--json" in words
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong on standard error, and end."""
        if not self._as_json:
            super().error(message)
        complain(message, Problem(kind="UsageError", message=message), ExitCode.USAGE, as_json=True)
        sys.exit(ExitCode.USAGE)
