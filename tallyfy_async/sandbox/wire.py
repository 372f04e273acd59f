"""Just enough HTTP/1.1 to know where a message ends, byte for byte."""

from anyio import DelimiterNotFound, EndOfStream, IncompleteRead
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import field, frozen

MAX_HEAD = 256 * 1024
NO_BODY = {204, 304}


class MalformedMessageError(ValueError):
    """What came is no HTTP message."""


@frozen(kw_only=True)
class Head:
    """The first line and the fields of a message, and the raw bytes they came in."""

    raw: bytes
    first_line: str
    fields: dict[str, str] = field(factory=dict[str, str])

    @property
    def words(self) -> list[str]:
        """Return the words of the first line: method, target, version, or version, status, reason."""
        return self.first_line.split(" ")

    @property
    def chunked(self) -> bool:
        """Tell whether the body comes in chunks."""
        return "chunked" in self.fields.get("transfer-encoding", "").lower()

    @property
    def closing(self) -> bool:
        """Tell whether the connection ends after this message."""
        return self.fields.get("connection", "").lower() == "close"


async def read_head(stream: BufferedByteReceiveStream) -> Head | None:
    """Read a message head; None when the peer closed between messages."""
    try:
        raw = await stream.receive_until(b"\r\n\r\n", MAX_HEAD)
    except (IncompleteRead, EndOfStream):
        return None
    except DelimiterNotFound as error:
        raise MalformedMessageError from error
    lines = raw.decode("latin-1").split("\r\n")
    if len(lines[0].split(" ")) < 2:
        raise MalformedMessageError
    pairs = (line.partition(":") for line in lines[1:])
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Head(raw=raw + b"\r\n\r\n", first_line=lines[0], fields=fields)


async def read_body(stream: BufferedByteReceiveStream, head: Head) -> bytes:
    """Read the body of a request, or of a reply that has a length or chunks, as raw bytes."""
    if head.chunked:
        return await _chunks(stream)
    length = _number(head.fields.get("content-length", "0"), 10)
    return await stream.receive_exactly(length) if length else b""


async def read_reply(stream: BufferedByteReceiveStream, method: str) -> tuple[Head, bytes] | None:
    """Read a whole reply; None when the server closed without one."""
    head = await read_head(stream)
    if head is None:
        return None
    if method == "HEAD" or int(head.words[1]) in NO_BODY:
        return head, b""
    return head, await read_body(stream, head)


async def _chunks(stream: BufferedByteReceiveStream) -> bytes:
    raw = b""
    while True:
        line = await stream.receive_until(b"\r\n", MAX_HEAD)
        size = _number(line.partition(b";")[0].decode("latin-1"), 16)
        raw += line + b"\r\n" + await stream.receive_exactly(size + 2)
        if size == 0:
            return raw


def _number(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise MalformedMessageError from None


def buffered(stream: ByteStream) -> BufferedByteReceiveStream:
    """Wrap a stream for reading by lines and lengths."""
    return BufferedByteReceiveStream(stream)
