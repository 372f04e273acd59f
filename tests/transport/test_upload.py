"""Forms with files: what stands on the wire, and what sources may be."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.errors import ConfigurationError, Outcome, UploadSourceError
from tallyfy_async.transport.exchange import BrokenSourceError, Pieces
from tallyfy_async.transport.upload import PIECE, UPLOAD_LIMIT, Form, file_part, form_of

pytestmark = pytest.mark.anyio


async def stream(*pieces: Any) -> AsyncIterator[Any]:
    for piece in pieces:
        yield piece


async def read(form: Form) -> bytes:
    pieces = form.pieces()
    try:
        return b"".join([piece async for piece in pieces])
    finally:
        await pieces.aclose()


async def failure_of(form: Form) -> Exception:
    with pytest.raises(BrokenSourceError) as caught:
        await read(form)
    return caught.value.error


def parts_of(form: Form, body: bytes) -> list[Message]:
    head = f"Content-Type: {form.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    assert not message.defects
    return [*message.iter_parts()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "path", "text", "stream"])
async def test_every_source_makes_the_same_form(kind: str, tmp_path: Path) -> None:
    content = os.urandom(3 * PIECE + 17)
    path = tmp_path / "report.pdf"
    path.write_bytes(content)
    source: Any = {
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "path": path,
        "text": str(path),
        "stream": stream(content[:5], b"", content[5:700_000], bytearray(content[700_000:])),
    }[kind]
    form = Form({"subject_id": "r\u00e9", "uploaded_from": "x"}, [await file_part("name", source, filename="r é.pdf")])
    body = await read(form)
    first, second, file = parts_of(form, body)
    assert (first.get_param("name", header="Content-Disposition"), first.get_payload(decode=True)) == (
        "subject_id",
        "r\u00e9".encode(),
    )
    assert second.get_payload(decode=True) == b"x"
    assert file.get_content_type() == "application/pdf"
    assert b'name="name"; filename="r \xc3\xa9.pdf"\r\n' in body
    assert content in body
    assert form.length == (None if kind == "stream" else len(body))
    assert form.spent is (kind == "stream")
    assert form.most == (UPLOAD_LIMIT if kind == "stream" else len(body))


@given(sizes=st.lists(st.integers(0, 3 * PIECE), max_size=6))
def test_a_stream_is_cut_anew(sizes: list[int]) -> None:
    async def main() -> None:
        form = Form({}, [await file_part("name", stream(*map(bytes, sizes)), filename="a")])
        pieces = [piece async for piece in form.pieces()]
        assert all(len(piece) == PIECE for piece in pieces[1:-3])
        assert sum(map(len, pieces[1:-2])) == sum(sizes)

    anyio.run(main)


@pytest.mark.parametrize(
    ("name", "shown"),
    [('a"b.pdf', "a%22b.pdf"), ("a\r\nX: y.pdf", "a%0D%0AX: y.pdf"), ("\udcff.pdf", "?.pdf"), ("a\\b.pdf", "a\\b.pdf")],
)
async def test_a_name_cannot_leave_its_place(name: str, shown: str) -> None:
    form = Form({}, [await file_part("name", b"", filename=name)])
    body = await read(form)
    assert f'filename="{shown}"\r\nContent-Type: application/pdf\r\n\r\n'.encode() in body
    assert body.count(b"\r\n") == 6


async def test_boundaries_are_not_guessed() -> None:
    part = await file_part("name", b"", filename="a")
    assert Form({}, [part]).content_type != Form({}, [part]).content_type


async def test_a_file_may_be_read_again_and_a_stream_may_not(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    for source in (path, b"content"):
        form = Form({}, [await file_part("name", source, filename="a")])
        assert await read(form) == await read(form)
        assert not form.spent
    form = Form({}, [await file_part("name", stream(b"content"), filename="a")])
    assert not form.spent
    await read(form)
    assert form.spent
    error = await failure_of(form)
    assert isinstance(error, UploadSourceError)
    assert "spent" in str(error)


async def drain(pieces: Pieces, sent: list[bytes]) -> None:
    async for piece in pieces:
        sent.append(piece)  # noqa: PERF401 - what came before an error counts


@pytest.mark.parametrize("change", ["touch", "grow", "shrink", "replace"])
async def test_a_file_that_changes_is_noticed(change: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(2 * PIECE))
    form = Form({}, [await file_part("name", path)])
    whole = await read(form)
    if change == "touch":
        os.utime(path, ns=(1, 1))
    elif change == "grow":
        path.write_bytes(bytes(2 * PIECE + 1))
    elif change == "shrink":
        path.write_bytes(bytes(PIECE))
    else:
        other = tmp_path / "b.txt"
        other.write_bytes(bytes(2 * PIECE))
        other.replace(path)
    pieces = form.pieces()
    sent: list[bytes] = []
    with pytest.raises(BrokenSourceError) as caught:
        await drain(pieces, sent)
    await pieces.aclose()
    assert isinstance(caught.value.error, UploadSourceError)
    assert "changed" in str(caught.value.error)
    assert caught.value.error.outcome is Outcome.NOT_SENT
    assert len(b"".join(sent)) < len(whole), "the server never gets the last of it"


async def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(3 * PIECE))
    form = Form({}, [await file_part("name", path)])
    pieces = form.pieces()
    for _ in range(2):
        await anext(pieces)
    with path.open("r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(1, 1))
    with pytest.raises(BrokenSourceError):
        await drain(pieces, [])
    await pieces.aclose()


async def test_a_file_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await file_part("name", tmp_path / "none")
    path = tmp_path / "a"
    path.write_bytes(b"x")
    form = Form({}, [await file_part("name", path)])
    path.unlink()
    assert isinstance(await failure_of(form), FileNotFoundError)


async def test_files_that_are_too_large_are_told_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(UPLOAD_LIMIT + 1)
    with pytest.raises(UploadSourceError, match=f"larger than {UPLOAD_LIMIT} bytes"):
        await file_part("name", path)
    with path.open("wb") as file:
        file.truncate(UPLOAD_LIMIT)
    assert (await file_part("name", path)).source.size == UPLOAD_LIMIT
    with pytest.raises(UploadSourceError, match="larger than 3 bytes"):
        await file_part("name", b"four", filename="a", limit=3)
    form = Form({}, [await file_part("name", stream(b"12", b"34"), filename="a", limit=3)])
    error = await failure_of(form)
    assert isinstance(error, UploadSourceError)
    assert "larger than 3 bytes" in str(error)


@pytest.mark.parametrize("source", [None, 3, ["a"], open, object(), (b"", b"")])
async def test_what_is_no_source_is_told(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a path, bytes or an async iterable"):
        await file_part("name", source, filename="a")


async def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (tmp_path, pipe):
        with pytest.raises(ConfigurationError, match="no ordinary file"):
            await file_part("name", place)


@pytest.mark.parametrize("name", [None, "", "  ", 3])
async def test_bytes_need_a_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="filename is needed"):
        await file_part("name", b"", filename=name)


@pytest.mark.parametrize("kind", ["a\r\nb: c", "é/x", 3])
async def test_a_media_type_is_one_line(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="content_type"):
        await file_part("name", b"", filename="a", content_type=kind)


async def test_a_media_type_is_taken_or_guessed() -> None:
    assert (await file_part("name", b"", filename="a.png")).content_type == "image/png"
    assert (await file_part("name", b"", filename="a.zzz")).content_type == "application/octet-stream"
    assert (await file_part("name", b"", filename="a.png", content_type="x/y")).content_type == "x/y"


@pytest.mark.parametrize("piece", ["text", None, 3])
async def test_a_stream_gives_bytes_only(piece: Any) -> None:
    error = await failure_of(Form({}, [await file_part("name", stream(b"a", piece), filename="a")]))
    assert isinstance(error, ConfigurationError)
    assert "must give bytes" in str(error)


async def test_a_stream_that_fails_fails_with_its_own_error_and_is_closed() -> None:
    closed = False

    async def broken() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield bytes(PIECE)
            raise KeyError("mine")
        finally:
            closed = True

    assert isinstance(await failure_of(Form({}, [await file_part("name", broken(), filename="a")])), KeyError)
    assert closed

    closed = False
    pieces = Form({}, [await file_part("name", broken(), filename="a")]).pieces()
    await anext(pieces)
    await anext(pieces)
    await pieces.aclose()
    assert closed, "nobody else knows of a generator that was left in the middle"


async def test_no_content_stands_in_what_is_shown() -> None:
    part = await file_part("name", b"secret", filename="a")
    form = Form({"a": "secret"}, [part])
    pieces = form.pieces()
    await anext(pieces)
    assert "secret" not in f"{part!r} {form!r} {pieces!r} {part.source!r}"


async def test_a_form_is_made_of_files_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one")
    form = await form_of({"name": path, "more": ("b.txt", b"two")}, {"subject_id": "x", "count": 3})
    parts = parts_of(form, await read(form))
    assert [part.get_payload(decode=True) for part in parts] == [b"x", b"3", b"one", b"two"]
    assert [part.get_filename() for part in parts] == [None, None, "a.txt", "b.txt"]
    assert (await form_of({"name": path})).length == len(await read(await form_of({"name": path})))


@pytest.mark.parametrize(
    ("files", "fields"),
    [([b"x"], None), ({"a": ("a", b"x")}, ["x"]), ({"a": ("a", b"x")}, {"b": True}), ({"a": 1}, {})],
)
async def test_what_makes_no_form_is_told(files: Any, fields: Any) -> None:
    with pytest.raises(ConfigurationError):
        await form_of(files, fields)
