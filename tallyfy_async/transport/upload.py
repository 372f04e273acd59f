"""Forms with files: multipart bodies that are read while they are sent, from a path, from bytes or from a stream."""

from __future__ import annotations

import mimetypes
import os
import secrets
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from inspect import isasyncgen
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, cast

import anyio
from anyio import to_thread
from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError, UploadSourceError
from tallyfy_async.transport.exchange import BrokenSourceError, Pieces

FileSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | AsyncIterable[bytes]
"""What can be uploaded: a path, bytes, or a stream of bytes, which can be read only once."""

UPLOAD_LIMIT = 100 * 2**20
PIECE = 2**18

_ESCAPES = {ord('"'): "%22", **{code: f"%{code:02X}" for code in (*range(32), 127)}}
_END = object()


class _Reading(Protocol):
    async def read(self) -> bytes:
        """Return the next piece, nothing at the end."""
        ...

    async def aclose(self) -> None: ...


class _Source(Protocol):
    @property
    def size(self) -> int | None: ...

    @property
    def spent(self) -> bool: ...

    def begin(self) -> _Reading: ...


@frozen
class _Memory:
    content: bytes = field(repr=False)
    spent = False

    @property
    def size(self) -> int:
        return len(self.content)

    def begin(self) -> _Reading:
        return _MemoryReading(self.content)


@define(eq=False)
class _MemoryReading:
    _content: bytes = field(repr=False)
    _at: int = 0

    async def read(self) -> bytes:
        piece = self._content[self._at : self._at + PIECE]
        self._at += len(piece)
        return piece

    async def aclose(self) -> None:
        self._content = b""


@frozen
class _Mark:
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> _Mark:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@frozen
class _File:
    path: Path
    mark: _Mark
    spent = False

    @property
    def size(self) -> int:
        return self.mark.size

    def begin(self) -> _Reading:
        return _FileReading(self.path, self.mark)


@define(eq=False)
class _FileReading:
    """Reads in worker threads; before its last piece is given, the file must be the one that was looked at."""

    _path: Path
    _mark: _Mark
    _left: int = field(init=False)
    _opened: BinaryIO | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._left = self._mark.size

    async def read(self) -> bytes:
        return await to_thread.run_sync(self._read)

    async def aclose(self) -> None:
        if self._opened is not None:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._opened.close)

    def _read(self) -> bytes:
        if self._opened is None:
            self._opened = self._path.open("rb", buffering=0)
        piece = self._opened.read(min(PIECE, self._left))
        self._left -= len(piece)
        if (not piece or not self._left) and _Mark.of(os.fstat(self._opened.fileno())) != self._mark:
            piece = b""  # a traceback that shows variables would show what the file holds
            msg = "the file changed after its upload began: upload it again when nobody writes to it"
            raise UploadSourceError(msg)
        return piece


@define(eq=False)
class _Stream:
    """Something that gives its bytes once."""

    _stream: AsyncIterable[bytes]
    limit: int
    spent: bool = field(default=False, init=False)
    size: None = field(default=None, init=False)

    def begin(self) -> _Reading:
        return _StreamReading(self, self._stream)


@define(eq=False)
class _StreamReading:
    """Cuts a stream anew: small pieces are put together, large ones are divided."""

    _source: _Stream
    _stream: AsyncIterable[bytes]
    _pieces: AsyncIterator[bytes] | None = field(default=None, init=False)
    _held: bytearray = field(factory=bytearray, init=False, repr=False)
    _size: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)

    async def read(self) -> bytes:
        if self._pieces is None:
            if self._source.spent:
                msg = "the stream is spent: upload again with a new one, or give path or bytes"
                raise UploadSourceError(msg)
            self._source.spent = True
            self._pieces = aiter(self._stream)
        while len(self._held) < PIECE and not self._ended:
            await self._take(self._pieces)
        piece = bytes(self._held[:PIECE])
        del self._held[:PIECE]
        return piece

    async def _take(self, pieces: AsyncIterator[bytes]) -> None:
        piece: Any = await anext(pieces, _END)
        if piece is _END:
            self._ended = True
            return
        if not isinstance(piece, bytes | bytearray | memoryview):
            msg = f"a stream that is uploaded must give bytes, not {type(piece).__name__}"
            piece = None  # a traceback that shows variables would show what the file holds
            raise ConfigurationError(msg)
        before = len(self._held)
        self._held += cast("bytes", piece)
        piece = None
        self._size += len(self._held) - before
        if self._size > self._source.limit:
            raise _too_large(self._source.limit)

    async def aclose(self) -> None:
        """End a generator, which nobody else may know of; anything else that is iterated belongs to who gave it."""
        self._held.clear()
        pieces: Any = self._pieces
        if isasyncgen(pieces):
            with anyio.CancelScope(shield=True):
                await pieces.aclose()


def _too_large(limit: int) -> UploadSourceError:
    msg = f"the upload is larger than {limit} bytes, which is the most that the server takes"
    return UploadSourceError(msg)


@frozen(kw_only=True)
class FilePart:
    """A file of a form: the name of its part, its own name, and where its bytes come from."""

    name: str
    filename: str
    content_type: str
    source: _Source = field(repr=False)


async def file_part(
    name: str,
    source: FileSource,
    *,
    filename: str | None = None,
    content_type: str | None = None,
    limit: int = UPLOAD_LIMIT,
) -> FilePart:
    """Return a file as part ``name`` of a form.

    ``filename`` may be left out for a path. The content type is guessed by the file's name. Raises UploadSourceError
    for a file of more than ``limit`` bytes, ConfigurationError for what is no source, OSError for an unreadable path.
    """
    found, own_name = await _source_of(source, limit)
    shown: Any = filename if filename is not None else own_name
    if not isinstance(shown, str) or not shown.strip():
        msg = "filename is needed with bytes and streams: the server tells the kind of a file by its extension"
        raise ConfigurationError(msg)
    if found.size is not None and found.size > limit:
        raise _too_large(limit)
    kind: Any = content_type or mimetypes.guess_type(shown)[0] or "application/octet-stream"
    if not (isinstance(kind, str) and kind.isascii() and kind.isprintable()):
        msg = "content_type must be a media type such as application/pdf"
        raise ConfigurationError(msg)
    return FilePart(name=name, filename=shown, content_type=kind, source=found)


async def _source_of(source: Any, limit: int) -> tuple[_Source, str | None]:
    if isinstance(source, bytes | bytearray | memoryview):
        return _Memory(bytes(cast("bytes", source))), None
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(cast("str", source)))
        found = await to_thread.run_sync(path.stat)
        if not stat.S_ISREG(found.st_mode):
            msg = "the path to upload names no ordinary file"
            raise ConfigurationError(msg)
        return _File(path, _Mark.of(found)), path.name
    if isinstance(source, AsyncIterable):
        return _Stream(cast("AsyncIterable[bytes]", source), limit), None
    msg = f"what is uploaded must be a path, bytes or an async iterable of bytes, not {type(source).__name__}"
    raise ConfigurationError(msg)


class Form:
    """A multipart body: fields, then files. It is read anew each time that it is sent."""

    def __init__(self, fields: Mapping[str, str], files: Iterable[FilePart]) -> None:
        self._boundary = secrets.token_hex(16)
        self._files = tuple(files)
        self._frames: tuple[bytes | _Source, ...] = tuple(self._laid_out(fields))

    def _laid_out(self, fields: Mapping[str, str]) -> Iterable[bytes | _Source]:
        for name, value in fields.items():
            yield f"{self._head(name)}\r\n\r\n{value}\r\n".encode("utf-8", "replace")
        for file in self._files:
            about = f'; filename="{file.filename.translate(_ESCAPES)}"\r\nContent-Type: {file.content_type}'
            yield f"{self._head(file.name)}{about}\r\n\r\n".encode("utf-8", "replace")
            yield file.source
            yield b"\r\n"
        yield f"--{self._boundary}--\r\n".encode()

    def _head(self, name: str) -> str:
        return f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPES)}"'

    @property
    def content_type(self) -> str:
        """Value of the header Content-Type."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def length(self) -> int | None:
        """Bytes in all, None where a stream is among the files."""
        sizes = [len(frame) if isinstance(frame, bytes) else frame.size for frame in self._frames]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    @property
    def most(self) -> int:
        """Bytes that it has at most."""
        return UPLOAD_LIMIT if self.length is None else self.length

    @property
    def spent(self) -> bool:
        """Whether it cannot be sent again, because a stream among the files has been read."""
        return any(file.source.spent for file in self._files)

    def pieces(self) -> Pieces:
        """Begin a reading; it raises BrokenSourceError where a source fails."""
        return _FormPieces(list(reversed(self._frames)))


@define(eq=False)
class _FormPieces(AsyncIterator[bytes]):
    _frames: list[bytes | _Source] = field(repr=False)
    _reading: _Reading | None = field(default=None, init=False)

    async def __anext__(self) -> bytes:
        while self._reading is not None or self._frames:
            if self._reading is not None:
                if piece := await self._read(self._reading):
                    return piece
                await self.aclose()
                continue
            frame = self._frames.pop()
            if isinstance(frame, bytes):
                return frame
            self._reading = frame.begin()
        raise StopAsyncIteration

    async def _read(self, reading: _Reading) -> bytes:
        try:
            return await reading.read()
        except Exception as error:  # noqa: BLE001 - whatever a source raises goes to the caller as it is
            raise BrokenSourceError(error) from None

    async def aclose(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            await reading.aclose()


FileInput: TypeAlias = FileSource | tuple[str, FileSource]
"""What can be uploaded, alone or with the name of the file."""


async def form_of(files: Mapping[str, FileInput], fields: Any = None) -> Form:
    """Return the form of a request that no method covers.

    ``files`` maps names of parts to sources, or to pairs of a file name and a source; ``fields`` maps names to texts or
    numbers. Raises what ``file_part`` raises, and ConfigurationError for fields that are no such mapping.
    """
    _check_mapping("files", files)
    given: Any = {} if fields is None else fields
    _check_mapping("the fields beside files", given)
    texts = {str(name): _field(name, value) for name, value in given.items()}
    parts: list[FilePart] = []
    for name, source in files.items():
        filename, source = source if isinstance(source, tuple) else (None, source)  # noqa: PLW2901 - unpacked
        parts.append(await file_part(name, source, filename=filename))
    return Form(texts, parts)


def _check_mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        msg = f"{name} must be a mapping of names to values"
        raise ConfigurationError(msg)


def _field(name: Any, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        msg = f"field {name!r} of a form must be a text or a number"
        raise ConfigurationError(msg)
    return str.__str__(value) if isinstance(value, str) else str(value)
