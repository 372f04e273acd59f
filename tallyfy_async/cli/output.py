"""Where the commands write: results to standard output, everything else to standard error. Needs no extra."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from attrs import asdict

from tallyfy_async.engine.report import Problem


def plain(value: object) -> str:
    """Return a value as one line of text without what a terminal would take for commands."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = moment(value) if isinstance(value, datetime) else str(value)
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def moment(value: datetime) -> str:
    """Return a moment in UTC, to the minute."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def out(text: str) -> None:
    """Write to standard output. Raises OSError where that takes nothing, but for a reader that has left."""
    _write(sys.stdout, text)


def out_json(whole: object) -> None:
    """Write a JSON text to standard output."""
    out(json.dumps(whole, indent=2) + "\n")


def written(text: str, *, as_json: bool) -> int:
    """Write to standard output at the end of a command; return its exit status, 1 where nothing is taken."""
    try:
        out(text)
    except OSError as error:
        hush()
        complain(told_of_system(error), error, 1, as_json=as_json)
        return 1
    return 0


def told_of_system(error: OSError) -> str:
    """Return what the user is told of an error of the operating system."""
    return f"{error.filename or 'cannot write'}: {error.strerror or type(error).__name__}"


def say(text: str) -> None:
    """Write a message to standard error, line by line, without what a terminal would take for commands."""
    err("".join(f"{plain(line)}\n" for line in text.splitlines()))


def err(text: str) -> None:
    """Write to standard error, as far as that takes anything."""
    with contextlib.suppress(OSError):  # there is nobody left to tell
        _write(sys.stderr, text)


def complain(message: str, problem: BaseException | Problem, status: int, *, as_json: bool) -> None:
    """Tell on standard error why a command fails, as a line of JSON if that is wanted."""
    if not as_json:
        say(message)
        return
    known = problem if isinstance(problem, Problem) else Problem.of(problem)
    whole: dict[str, Any] = {**asdict(known), "fields": dict(known.fields), "exit_status": int(status)}
    say(json.dumps({"error": whole}))


def encodable(text: str, stream: TextIO | None) -> bool:
    """Tell whether a stream can show a text as it is."""
    try:
        text.encode(_encoding(stream))
    except UnicodeEncodeError:
        return False
    return True


def hush(stream: TextIO | None = None) -> None:
    """Let what is still to be written to a stream (standard output) go nowhere, so that the process ends silently."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        target = (stream or sys.stdout).fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, target)
        os.close(nowhere)


def _encoding(stream: TextIO | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # it was closed before we were started
        return
    encoding = _encoding(stream)
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough; what the command ends with stays what it is
        hush(stream)
