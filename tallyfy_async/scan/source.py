"""Read a file so that every byte survives."""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import Final

from attrs import frozen

LARGEST: Final = 5_000_000
"""Bytes of the largest file that is read."""
_BINARY: Final = re.compile(
    r".*\.(?:7z|a|avif|bin|bmp|bz2|class|db|dll|dylib|eot|exe|gif|gz|ico|jar|jpe?g|mo|mov|mp[34]|o|otf|pdf|png|py[cdo]"
    r"|so|sqlite3?|tar|tgz|tiff?|ttf|war|wasm|web[mp]|whl|woff2?|xz|zip)",
    re.IGNORECASE | re.DOTALL,
)
_WIDE: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COOKIE: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


@frozen(kw_only=True)
class Source:
    """A file's text.

    Attributes:
        text: bytes that do not decode are lone surrogates in it.
        encoding: what it was read as.
        mark: the byte order mark, which is no part of the text.

    """

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        """Return the bytes of another text, written as this one was."""
        errors = "surrogateescape" if self.encoding == "utf-8" else "surrogatepass" if self.mark else "strict"
        return self.mark + text.encode(self.encoding, errors)


class Skipped(Exception):  # noqa: N818 - no error: a file that is not scanned, and why
    """A file is not scanned; the text says why."""


def read_bytes(path: str, largest: int = LARGEST) -> bytes:
    """Return the bytes of a regular file. Raises Skipped for every other, and for a binary or too large one."""
    if _BINARY.fullmatch(path) is not None:
        raise Skipped("binary")
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        raise Skipped("unreadable") from None
    try:
        return _contents(handle, largest)
    except OSError:
        raise Skipped("unreadable") from None
    finally:
        os.close(handle)


def _contents(handle: int, largest: int) -> bytes:
    known = os.fstat(handle)
    if not stat.S_ISREG(known.st_mode):
        raise Skipped("not a regular file")
    if known.st_size > largest:
        raise Skipped("too large")
    data = bytearray()
    while chunk := os.read(handle, max(1, min(largest, known.st_size) + 1 - len(data))):
        data += chunk
        if len(data) > largest:
            raise Skipped("too large")
        if len(data) >= known.st_size:
            break
    return bytes(data)


def decode(data: bytes, suffix: str) -> Source:
    """Return the text of a file. Raises Skipped for a binary one."""
    for mark, encoding in _WIDE:
        if data.startswith(mark):
            return _wide(data, mark, encoding)
    if b"\0" in data:
        raise Skipped("binary")
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    cookie = _cookie(data) if suffix in {".py", ".pyi", ".pyw"} and not mark else None
    if cookie is not None:
        try:
            return Source(text=data.decode(cookie), encoding=cookie)
        except UnicodeError:
            pass
    return Source(text=data[len(mark) :].decode("utf-8", "surrogateescape"), mark=mark)


def _wide(data: bytes, mark: bytes, encoding: str) -> Source:
    try:
        return Source(text=data[len(mark) :].decode(encoding, "surrogatepass"), encoding=encoding, mark=mark)
    except UnicodeError:
        raise Skipped("binary") from None


def _cookie(data: bytes) -> str | None:
    """Return the encoding that a Python source declares, None where it is UTF-8 or unknown."""
    for line in data.split(b"\n", 2)[:2]:
        match = _COOKIE.match(line)
        if match is not None:
            try:
                name = codecs.lookup(match[1].decode("ascii", "replace")).name
            except LookupError:
                return None
            return None if name == "utf-8" or not _is_charmap(name) else name
    return None


def _is_charmap(name: str) -> bool:
    """Whether bytes and characters go one to one, so that writing gives the same bytes back."""
    try:
        every = bytes(range(128))
        return every.decode(name) == every.decode("ascii") and len(b"\xe9\xe8".decode(name)) == 2
    except (UnicodeError, LookupError, AssertionError):
        return False


def suffix_of(path: str) -> str:
    """Return the suffix of a file name in lower case."""
    return Path(path).suffix.lower()
