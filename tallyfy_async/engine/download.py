"""A file on its way in."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import unquote

from anyio import to_thread
from attrs import define, field

from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.opened import Opened
from tallyfy_async.engine.plan import Call, Response
from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.protocol.response import Headers
from tallyfy_async.transport.shelter import run_in_child

_ENCODED = re.compile(r";\s*filename\*\s*=\s*([\w-]+)'[^']*'([^;\s]+)", re.IGNORECASE)
_PLAIN = re.compile(r';\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))', re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@define(eq=False)
class Download(AsyncIterator[bytes]):
    """A file that is downloaded: ``async with org.files.download(asset_id) as file:``.

    Iterate over it for pieces of bytes, or :meth:`save` or :meth:`read` it. It is sent when it is entered and holds a
    connection until it is left; pieces that nobody wants are then dropped with the connection. A download that breaks
    off raises TransportError, it never ends early. Entered twice, it is downloaded twice.
    """

    _engine: Engine = field(repr=False)
    _call: Call = field(repr=False)
    _opened: Opened | None = field(default=None, init=False, repr=False)
    _response: Response | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            msg = "this download is open already"
            raise ConfigurationError(msg)
        self._response, self._opened = await self._engine.open(self._call)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.aclose()

    async def __anext__(self) -> bytes:
        """Return the next piece; at most as long as the setting ``timeout`` is waited for each."""
        if piece := await self._body.read():
            return piece
        raise StopAsyncIteration

    async def read(self, *, max_bytes: int | None = None) -> bytes:
        """Return the rest of the file; raise DecodeError for more than ``max_bytes``."""
        pieces: list[bytes] = []
        size = 0
        body = self._body
        while piece := await body.read():
            size += len(piece)
            if max_bytes is not None and size > max_bytes:
                pieces.clear()
                piece = b""  # a traceback that shows variables would show what the file holds
                msg = f"the file is larger than {max_bytes} bytes"
                raise DecodeError(msg)
            pieces.append(piece)
        return b"".join(pieces)

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the rest of the file to ``path``, in the place of a file that is there, and return the path.

        It is written beside ``path`` first and takes its place when it is whole: there is never half a file, also not
        after an error or a cancellation. Raises OSError where it cannot be written.
        """
        target = Path(path)
        if await to_thread.run_sync(target.is_dir):
            msg = "path names a directory: add the name of the file, such as file.filename"
            raise ConfigurationError(msg)
        await run_in_child(partial(self._save, self._body, target))
        return target

    async def _save(self, body: Opened, target: Path) -> None:
        part = _Part(target)
        try:
            while piece := await body.read():
                await to_thread.run_sync(part.write, piece)
            await to_thread.run_sync(part.finish)
        finally:
            await run_in_child(partial(to_thread.run_sync, part.discard), shield=True)

    @property
    def filename(self) -> str | None:
        """The name that the server gives the file, without any directory; None where it gives none."""
        return name_of(self.headers)

    @property
    def content_type(self) -> str | None:
        """The media type that the server gives the file."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int | None:
        """Bytes in all, None where the server does not tell."""
        length = self.headers.get("content-length", "")
        packed = self.headers.get("content-encoding", "identity").lower() != "identity"
        return int(length) if length.isascii() and length.isdigit() and not packed else None

    @property
    def headers(self) -> Headers:
        """Headers of the reply."""
        if self._response is None:
            raise _not_entered()
        return self._response.headers

    @property
    def _body(self) -> Opened:
        if self._opened is None:
            raise _not_entered()
        return self._opened


def _not_entered() -> ConfigurationError:
    msg = "a download is read inside of its context: async with org.files.download(…) as file: …"
    return ConfigurationError(msg)


def name_of(headers: Headers) -> str | None:
    """Return the file name of ``Content-Disposition`` without any directory, None where there is none that is safe.

    The encoded name (RFC 6266: ``filename*``) goes before the plain one.
    """
    disposition = headers.get("content-disposition", "")
    found = _encoded_name(disposition) or _plain_name(disposition)
    name = _CONTROLS.sub("", found).replace("\\", "/").rpartition("/")[2].strip()
    return name if name not in {"", ".", ".."} else None


def _encoded_name(disposition: str) -> str:
    found = _ENCODED.search(disposition)
    try:
        return "" if found is None else unquote(found[2], encoding=found[1], errors="strict")
    except (LookupError, UnicodeError):
        return ""


def _plain_name(disposition: str) -> str:
    found = _PLAIN.search(disposition)
    if found is None:
        return ""
    return found[2] if found[1] is None else _ESCAPED.sub(r"\1", found[1])


@define(eq=False)
class _Part:
    """A file that is being written beside the one that it is to become. Its methods run in worker threads."""

    _target: Path
    _beside: Path = field(init=False)
    _opened: BinaryIO | None = field(default=None, init=False)
    _finished: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._beside = self._target.with_name(f".{self._target.name}.{secrets.token_hex(8)}.part")

    def write(self, piece: bytes) -> None:
        if self._opened is None:
            self._opened = self._beside.open("xb")
        self._opened.write(piece)

    def finish(self) -> None:
        self.write(b"")
        if self._opened is not None:
            self._opened.flush()
            os.fsync(self._opened.fileno())
            self._opened.close()
        self._beside.replace(self._target)
        self._finished = True

    def discard(self) -> None:
        if self._opened is not None and not self._finished:
            self._opened.close()
            self._beside.unlink(missing_ok=True)
