"""The body of a reply: unpacked piece by piece, and never further than its limit."""

from __future__ import annotations

import zlib
from typing import Protocol

from attrs import define, field

from tallyfy_async.errors import DecodeError, TallyfyError, TransportError

PIECE = 2**18
_BROKEN = "the reply is not what its Content-Encoding says"


class _Unpacker(Protocol):
    def unpack(self, data: bytes, limit: int) -> bytes:
        """Return what the next piece holds, cut a little above ``limit`` bytes; raise zlib.error where it is broken."""
        ...

    @property
    def rest(self) -> bytes:
        """What the limit kept from being unpacked; it is to be given again."""
        ...

    @property
    def whole(self) -> bool:
        """Whether nothing is missing at the end."""
        ...


class _Plain:
    whole = True
    rest = b""

    def unpack(self, data: bytes, limit: int) -> bytes:
        del limit
        return data


class _Zlib:
    whole = False

    def __init__(self, window_bits: int) -> None:
        self._unpacker = zlib.decompressobj(window_bits)

    def unpack(self, data: bytes, limit: int) -> bytes:
        unpacked = self._unpacker.decompress(data, limit + 1)
        self.whole = self._unpacker.eof
        return unpacked

    @property
    def rest(self) -> bytes:
        return self._unpacker.unconsumed_tail


class _Deflate:
    """A ``deflate`` body: in zlib's frame, as it should be, or bare, as some servers send it; two bytes tell which."""

    def __init__(self) -> None:
        self._head = b""
        self._rest: _Zlib | None = None

    @property
    def whole(self) -> bool:
        return self._rest is not None and self._rest.whole

    @property
    def rest(self) -> bytes:
        return b"" if self._rest is None else self._rest.rest

    def unpack(self, data: bytes, limit: int) -> bytes:
        if self._rest is None:
            data = self._head = self._head + data
            if len(data) < 2:
                return b""
            framed = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._rest = _Zlib(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
        return self._rest.unpack(data, limit)


def _unpacker(coding: str) -> _Unpacker | None:
    match coding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Zlib(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Deflate()
        case _:
            return None


@define(eq=False)
class Body:
    """Collects a body; what it finds wrong is kept for the end, because its reader must not leave a loop in the middle.

    Attributes:
        limit: the most bytes that the unpacked body may have.

    """

    limit: int
    _unpacker: _Unpacker | None = field(converter=_unpacker, repr=False)
    _pieces: list[bytes] = field(factory=list[bytes], init=False, repr=False)
    _size: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)
    _problem: TallyfyError | None = field(default=None, init=False)

    def take(self, data: bytes) -> bool:
        """Unpack the next piece; return whether there is use for more."""
        if self._unpacker is None:
            self._problem = DecodeError("the reply has a Content-Encoding that nobody asked for")
            return False
        self._begun = self._begun or bool(data)
        try:
            piece = self._unpacker.unpack(data, self.limit - self._size)
        except zlib.error:
            self._problem = TransportError(_BROKEN)
            return False
        self._size += len(piece)
        if self._size > self.limit:
            self._problem = DecodeError(f"the reply is larger than {self.limit} bytes")
            return False
        self._pieces.append(piece)
        return True

    def whole(self) -> bytes:
        """Return the body; raise DecodeError or TransportError for one that is too large, unreadable or cut."""
        problem, pieces = self._problem, self._pieces
        self._pieces = []  # a traceback that shows variables would show what the reply holds
        if problem is None and self._begun and self._unpacker is not None and not self._unpacker.whole:
            problem = TransportError(_BROKEN)
        if problem is not None:
            del pieces
            raise problem
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@define(eq=False)
class PieceBody:
    """Unpacks a body that is passed on piece by piece; no piece is much larger than ``PIECE``.

    Attributes:
        limit: the most bytes that the unpacked body may have.

    """

    limit: int
    _unpacker: _Unpacker | None = field(converter=_unpacker, repr=False)
    _packed: bytes = field(default=b"", init=False, repr=False)
    _size: int = field(default=0, init=False)
    _begun: bool = field(default=False, init=False)

    def feed(self, data: bytes) -> None:
        """Take the next packed piece; only after ``take`` has returned nothing."""
        self._packed = data
        self._begun = self._begun or bool(data)

    def take(self) -> bytes:
        """Return an unpacked piece, nothing where more is needed; raise DecodeError or TransportError as ``Body``."""
        if self._unpacker is None:
            msg = "the reply has a Content-Encoding that nobody asked for"
            raise DecodeError(msg)
        if not self._packed:
            return b""
        try:
            piece = self._unpacker.unpack(self._packed, PIECE)
        except zlib.error:
            raise TransportError(_BROKEN) from None
        self._packed = self._unpacker.rest
        self._size += len(piece)
        if self._size > self.limit:
            piece = b""
        self.check(self._size)
        return piece

    def check(self, size: int) -> None:
        """Raise DecodeError where a body of so many bytes is too large."""
        if size > self.limit:
            msg = f"the reply is larger than {self.limit} bytes"
            raise DecodeError(msg)

    def end(self) -> None:
        """Raise TransportError where the body ends in the middle of what it packs."""
        if self._begun and self._unpacker is not None and not self._unpacker.whole:
            raise TransportError(_BROKEN)
