"""The sandbox in a second process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Sequence

from tallyfy_async.errors import TallyfyError
from tallyfy_async.sandbox.settings import Credentials

_PATIENCE = 10.0


@contextlib.contextmanager
def second_process(arguments: Sequence[str]) -> Generator[tuple[str, Credentials], None, None]:
    """Run ``python -m tallyfy_async.sandbox`` on a free port of loopback; yield its base URL and credentials.

    It ends with the context, and also when this process dies without a word. Raises TallyfyError if it does not start.
    """
    command = [sys.executable, "-m", "tallyfy_async.sandbox", "--port", "0", "--until-eof", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        try:
            yield _announced(process)
        finally:
            _end(process)


def _announced(process: subprocess.Popen[bytes]) -> tuple[str, Credentials]:
    """Read the one line that the sandbox prints once it accepts connections."""
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line:
        msg = f"the sandbox did not start: its process ended with status {process.wait(_PATIENCE)}"
        raise TallyfyError(msg)
    announced = json.loads(line)
    url: str = announced.pop("url")
    return url, Credentials(**announced)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
