"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4


def write_whole(place: Path, lines: Iterable[bytes], *, named: bool = True) -> None:
    """Write a file beside its place, on the disk, then put it there in one step; the folder must exist.

    Without ``named``, a loss of power may take the file, but never leaves half of it.
    """
    new = place.with_name(f"{place.name}.{uuid4().hex}.new")
    try:
        with new.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        new.replace(place)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if named:
        sync_folder(place.parent)


def sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk."""
    if os.name == "nt":  # pragma: no cover - Windows opens no directories
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
