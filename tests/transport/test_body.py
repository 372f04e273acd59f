"""Bodies of replies: packed, broken, cut, and larger than anybody asked for."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import DecodeError, TransportError
from tallyfy_async.transport.body import PIECE, Body, PieceBody


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    " X-GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}


def fed(coding: str, data: bytes, limit: int, size: int) -> Body:
    """Return a body that got the data in pieces, until it had no use for more."""
    body = Body(limit, coding)
    for at in range(0, len(data), size):
        if not body.take(data[at : at + size]):
            break
    return body


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=5000), st.integers(1, 700))
def test_what_was_packed_comes_out(coding: str, data: bytes, size: int) -> None:
    assert fed(coding, PACKERS[coding](data), 5000, size).whole() == data


@pytest.mark.parametrize("coding", sorted(PACKERS))
def test_the_limit_is_the_last_byte(coding: str) -> None:
    packed = PACKERS[coding](b"x" * 1000)
    assert fed(coding, packed, 1000, 7).whole() == b"x" * 1000
    with pytest.raises(DecodeError, match="larger than 999 bytes"):
        fed(coding, packed, 999, 7).whole()


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="larger than 100000 bytes"):
            fed("gzip", bomb, 100_000, 65_536).whole()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip,identity", "compress"])
def test_codings_that_nobody_asked_for(coding: str) -> None:
    with pytest.raises(DecodeError, match="nobody asked for"):
        fed(coding, b"x", 10, 1).whole()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_broken_and_cut_bodies(coding: str) -> None:
    packed = PACKERS[coding](bytes(range(256)) * 20)
    for data in (b"junk that is no archive", packed[: len(packed) // 2], packed[:-3]):
        with pytest.raises(TransportError, match="Content-Encoding"):
            fed(coding, data, 100_000, 9).whole()


def test_an_empty_body_needs_no_archive() -> None:
    assert Body(10, "gzip").whole() == b""


def passed_on(coding: str, data: bytes, limit: int, size: int) -> list[bytes]:
    """Return the pieces of a body that is passed on, fed in pieces of some size."""
    body = PieceBody(limit, coding)
    pieces: list[bytes] = []
    for at in range(0, len(data), size):
        body.feed(data[at : at + size])
        while piece := body.take():
            pieces.append(piece)
    body.end()
    return pieces


@given(data=st.binary(max_size=2000), coding=st.sampled_from([*PACKERS]), size=st.integers(1, 2001))
def test_what_is_passed_on_is_what_was_packed(data: bytes, coding: str, size: int) -> None:
    assert b"".join(passed_on(coding, PACKERS[coding](data), len(data), size)) == data


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_small_piece_is_passed_on_in_bounded_pieces(coding: str) -> None:
    data = bytes(3_000_000)
    pieces = passed_on(coding, PACKERS[coding](data), len(data), 10**6)
    assert max(map(len, pieces)) <= PIECE + 1
    assert sum(map(len, pieces)) == len(data)
    with pytest.raises(DecodeError, match="larger than 2999999 bytes"):
        passed_on(coding, PACKERS[coding](data), len(data) - 1, 10**6)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_cut_or_broken_body_is_not_passed_on_as_whole(coding: str) -> None:
    packed = PACKERS[coding](b"content" * 100)
    with pytest.raises(TransportError, match="Content-Encoding"):
        passed_on(coding, packed[:-3], 10**6, 10)
    with pytest.raises(TransportError, match="Content-Encoding"):
        passed_on(coding, b"\xff" * 50, 10**6, 10)
    assert passed_on(coding, b"", 10**6, 10) == []


def test_an_unknown_coding_is_not_passed_on() -> None:
    with pytest.raises(DecodeError, match="nobody asked for"):
        passed_on("br", b"x", 10**6, 10)
