"""A directory that is nobody else's, and the files in it.

Names are resolved below an open directory that was checked, where the platform can, so that nobody swaps it meanwhile.
Everything here blocks: it is called in worker threads.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from tallyfy_async.errors import StoreCorruptError, StoreError

MAX_BYTES: Final = 2**21
"""No file of a store is longer: a record of a megabyte, encrypted."""

_POSIX = os.name == "posix"
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_PRIVATE_FILE = 0o600
_PRIVATE_DIRECTORY = 0o700
_LINKS = {errno.ELOOP, errno.EMLINK, getattr(errno, "EFTYPE", errno.ELOOP)}


def state_directory() -> Path:
    """Return the directory in which this user's programs keep their state, for this package."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "tallyfy_async"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "tallyfy_async"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tallyfy_async"


@frozen
class PrivateFolder:
    """A directory of this user that nobody else can write to; it is created with mode 0700 on first use.

    Every method raises StoreError: where the directory or a file in it is a symbolic link, belongs to another user or
    is open to others, and where the disk fails. No message holds what a file holds.
    """

    path: Path

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None where there is none."""
        with self._opened() as parent, self._told("read", name):
            try:
                descriptor = self._open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0), parent)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as file:
                self._check_file(descriptor, name)
                data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            del data  # tracebacks show local variables
            msg = f"{self.path / name} is too long for a token record; it is kept as it is"
            raise StoreCorruptError(msg)
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step: whoever reads, and whenever the power fails, it is the old or the new one.

        Only one writer of ``name`` may be at work.
        """
        with self._opened() as parent, self._told("write", name):
            fresh, old = (_at(parent, self.path, one) for one in (f"{name}.tmp", name))
            with suppress(FileNotFoundError):  # left behind by a writer that was killed
                os.unlink(fresh, dir_fd=parent)
            try:
                self._fill(f"{name}.tmp", data, parent)
                os.replace(fresh, old, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(fresh, dir_fd=parent)
                raise
            if parent is not None:
                os.fsync(parent)

    def open_lock(self, name: str) -> int:
        """Return the descriptor of a lock file, created where it is absent."""
        with self._opened() as parent, self._told("open", name):
            descriptor = self._open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), parent)
            try:
                self._check_file(descriptor, name)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor

    def set_aside(self, name: str) -> Path | None:
        """Rename a file to ``<name>.corrupt-<number>``; return its new path, None where there is no such file.

        Only one writer of ``name`` may be at work.
        """
        with self._opened() as parent, self._told("set aside", name):
            taken = set(os.listdir(self.path if parent is None else parent))  # noqa: PTH208 - Path knows no descriptors
            if name not in taken:
                return None
            other = next(free for n in itertools.count(1) if (free := f"{name}.corrupt-{n}") not in taken)
            old, new = (_at(parent, self.path, one) for one in (name, other))
            os.rename(old, new, src_dir_fd=parent, dst_dir_fd=parent)
            return self.path / other

    @contextmanager
    def _opened(self) -> Generator[int | None, None, None]:
        """Give the descriptor of the checked directory; None on platforms that name files by path only."""
        with self._told("open", ""):
            _create(self.path)
            if not _POSIX:
                if self.path.is_symlink() or not self.path.is_dir():
                    raise StoreError(_not_ours(self.path, "no directory"))
                descriptor = None
            else:
                descriptor = self._open_directory()
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _open_directory(self) -> int:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, *_LINKS}:
                raise
            what = "a symbolic link" if self.path.is_symlink() else "no directory"
            raise StoreError(_not_ours(self.path, what)) from None
        if (problem := _problem(os.fstat(descriptor), stat.S_IWGRP | stat.S_IWOTH)) is not None:
            os.close(descriptor)
            raise StoreError(_not_ours(self.path, problem))
        return descriptor

    def _open(self, name: str, flags: int, parent: int | None) -> int:
        try:
            return os.open(_at(parent, self.path, name), flags | _FLAGS, _PRIVATE_FILE, dir_fd=parent)
        except OSError as error:
            if error.errno in _LINKS:
                raise StoreError(_not_ours(self.path / name, "a symbolic link")) from None
            raise

    def _check_file(self, descriptor: int, name: str) -> None:
        status = os.fstat(descriptor)
        problem = _problem(status, stat.S_IRWXG | stat.S_IRWXO) if _POSIX else None
        if not stat.S_ISREG(status.st_mode):
            problem = "no regular file"
        if problem is not None:
            raise StoreError(_not_ours(self.path / name, problem))

    def _fill(self, name: str, data: bytes, parent: int | None) -> None:
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, parent)
        with os.fdopen(descriptor, "wb") as file:
            if _POSIX:  # a umask only takes bits away, also those of the owner
                os.fchmod(descriptor, _PRIVATE_FILE)
            file.write(data)
            file.flush()
            os.fsync(descriptor)

    @contextmanager
    def _told(self, doing: str, name: str) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            msg = f"could not {doing} {self.path / name}: {error.strerror or type(error).__name__}"
            raise StoreError(msg) from error


def _at(parent: int | None, folder: Path, name: str) -> str:
    return str(folder / name) if parent is None else name


def _create(path: Path) -> None:
    """Create a directory with mode 0700, and so those above it that are missing."""
    try:
        path.mkdir(_PRIVATE_DIRECTORY)
    except FileExistsError:
        return
    except FileNotFoundError:
        if path.parent == path:
            raise
        _create(path.parent)
        _create(path)
        return
    path.chmod(_PRIVATE_DIRECTORY)


def _problem(status: os.stat_result, others: int) -> str | None:
    if status.st_uid != os.geteuid():
        return "another user's"
    return f"open to others (mode {stat.S_IMODE(status.st_mode):o})" if status.st_mode & others else None


def _not_ours(path: Path, problem: str) -> str:
    return f"{path} is {problem}: refused"
