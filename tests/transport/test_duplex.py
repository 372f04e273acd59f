"""The connection that is heard while it is written to, step by step."""

from __future__ import annotations

from typing import Any

import anyio
import httpcore
import pytest

from tallyfy_async.transport.duplex import DuplexStream

pytestmark = pytest.mark.anyio
LARGE = bytes(40_000)
ANSWER = b"HTTP/1.1 401 No\r\nContent-Length: 4\r\n\r\nbody"


class Wire(httpcore.AsyncNetworkStream):
    """Gives what it is told to give, and takes what is written: in the end, also where it is cut, or never."""

    def __init__(self, *gives: bytes, takes: bool = True, anyway: bool = False) -> None:
        self.gives = [*gives]
        self.takes = takes
        self.anyway = anyway
        self.written = 0
        self.cut = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        del max_bytes, timeout
        if not self.gives:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        return self.gives.pop(0)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        del timeout
        try:
            with anyio.CancelScope(shield=self.anyway):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
            if not self.takes:
                await anyio.sleep_forever()
        except BaseException:
            self.cut = True
            raise
        self.written += len(buffer)

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return info


async def written(stream: DuplexStream, *pieces: bytes) -> bool:
    """Write; return whether the server answered before it had all."""
    try:
        for piece in pieces:
            await stream.write(piece)
    except httpcore.WriteError:
        return False
    return True


async def test_a_small_request_is_written_without_an_ear() -> None:
    wire = Wire(ANSWER)
    stream = DuplexStream(wire)
    assert await written(stream, b"head", b"body")
    assert wire.gives == [ANSWER]
    assert await stream.read(100) == ANSWER


@pytest.mark.parametrize(
    "gives",
    [
        (ANSWER,),
        (ANSWER[:5], ANSWER[5:]),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", ANSWER),
        (b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n", b"0\r\n\r\n"),
        (b"HTTP/1.1 401 No\r\n\r\nuntil the end", b""),
        (b"",),
        (b"no HTTP at all\r\n\r\n",),
    ],
)
async def test_a_whole_answer_ends_the_writing_and_is_read_then(gives: tuple[bytes, ...]) -> None:
    wire = Wire(*gives, takes=False)
    stream = DuplexStream(wire)
    with anyio.fail_after(5):
        assert not await written(stream, LARGE)
        assert wire.cut
        got = b""
        while len(got) < len(b"".join(gives)):
            got += await stream.read(7)
        assert got == b"".join(gives)
        if gives[-1] == b"":
            assert await stream.read(7) == b""


@pytest.mark.parametrize("gives", [(), (ANSWER[:20],), (b"HTTP/1.1 103 Early Hints\r\n\r\n",)])
async def test_half_an_answer_does_not_end_the_writing(gives: tuple[bytes, ...]) -> None:
    wire = Wire(*gives)
    stream = DuplexStream(wire)
    assert await written(stream, LARGE, LARGE)
    assert wire.written == len(LARGE) * 2
    rest = ANSWER[len(gives[0]) :] if gives and gives[0] == ANSWER[:20] else ANSWER
    wire.gives.append(rest)
    got = b""
    while len(got) < len(b"".join([*gives, rest])):
        got += await stream.read(100)
    assert got == b"".join([*gives, rest])


@pytest.mark.parametrize("size", [3, 1000], ids=["in bits", "at once"])
async def test_the_next_request_does_not_hear_the_last_answer(size: int) -> None:
    wire = Wire(ANSWER, anyway=True)
    stream = DuplexStream(wire)
    for _ in range(3):
        assert await written(stream, b"head", LARGE), "written at once: the answer was no reason to stop"
        got = b""
        while len(got) < len(ANSWER):
            got += await stream.read(size)
        assert got == ANSWER
        wire.gives.append(ANSWER)


async def test_an_answer_between_two_pieces_ends_the_writing() -> None:
    stream = DuplexStream(Wire(ANSWER, anyway=True))
    assert await written(stream, LARGE)
    assert not await written(stream, LARGE)
    assert await written(stream, b""), "the end of a request of known length has no bytes"
    assert await stream.read(1000) == ANSWER


async def test_an_endless_answer_ends_the_writing_too() -> None:
    head = b"HTTP/1.1 401 No\r\nContent-Length: 99999999\r\n\r\n"
    stream = DuplexStream(Wire(head, *[bytes(2**15)] * 40, takes=False))
    with anyio.fail_after(5):
        assert not await written(stream, LARGE)


async def test_the_failure_of_the_writing_is_told_bare() -> None:
    class Broken(Wire):
        async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
            del buffer, timeout
            raise httpcore.WriteTimeout("late")

        async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
            del max_bytes, timeout
            raise httpcore.ReadError("gone")

    stream = DuplexStream(Broken())
    with pytest.raises(httpcore.WriteTimeout, match="late"):
        await stream.write(LARGE)
    assert stream.get_extra_info("socket") == "socket"
