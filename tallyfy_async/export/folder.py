"""What a directory of files needs so that a kill, a full disk or another process leaves nothing half done."""

from __future__ import annotations

import errno
import importlib
import os
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tallyfy_async.errors import ExportError

_PATIENCE = 30.0
_PAUSE = 0.02
_BUSY = frozenset({errno.EAGAIN, errno.EACCES})


@contextmanager
def hold(path: Path) -> Generator[None, None, None]:
    """Hold the kernel's lock of a directory for a moment; blocks.

    It ends with the process that holds it. Raises ExportError after 30 seconds. Where the system locks no directories,
    as Windows, or the file system knows no locks, nothing is held: there, run one export at a time.
    """
    handle = _opened(path)
    try:
        if handle is not None:
            _lock(handle, path)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _opened(path: Path) -> int | None:
    return None if os.name == "nt" else os.open(path, os.O_RDONLY)


def _lock(handle: int, path: Path) -> None:
    fcntl: Any = importlib.import_module("fcntl")  # there is none on Windows
    waited = 0.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                return
        else:
            return
        if waited >= _PATIENCE:
            msg = f"{path}: another export has been writing here for more than {_PATIENCE:g} s"
            raise ExportError(msg)
        time.sleep(_PAUSE)
        waited += _PAUSE


def flush(file: BinaryIO) -> None:
    """Bring a file's contents to the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring a directory's names to the disk."""
    handle = _opened(path)
    if handle is None:  # pragma: no cover - Windows opens no directories
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO, None, None]:
    """Give a file whose contents take the place of another one in one step, unless the context is left by an error."""
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            yield file
            flush(file)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync(path.parent)


def replace(path: Path, lines: Iterable[bytes]) -> None:
    """Put new contents in the place of a file, in one step."""
    with replacing(path) as file:
        file.writelines(lines)
