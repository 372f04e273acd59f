from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.sandbox.multipart import parse

from .steps import launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
CONTENT = bytes(range(256)) * 3 + b"\r\n--x\r\n\r\n"


async def send(api: Api, file: Any = ("scan.PDF", CONTENT, "application/pdf"), **fields: str) -> httpx.Response:
    return await api.call("POST", "{org}/file", data=fields, files={"name": file})


async def stored(api: Api, run: dict[str, Any], **fields: str) -> dict[str, Any]:
    reply = await send(api, subject_type="Run", subject_id=run["id"], uploaded_from="field", **fields)
    assert reply.status_code == 200, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def test_bytes_come_back_as_they_went(api: Api) -> None:
    run = await launch(api)
    row = await stored(api, run, step_id="s", checklist_id=run["checklist_id"])
    assert (row["filename"], row["version"], row["source"], row["step_id"]) == ("scan.PDF", 1, "local", "s")
    assert row["subject"] == {"id": run["id"], "type": "Run"}
    assert (await api.get(f"{{org}}/assets/{row['id']}"))["data"] == row
    down = await api.call("GET", f"{{org}}/file/{row['id']}/dl")
    assert down.content == CONTENT
    assert down.headers["Content-Disposition"] == 'attachment; filename="scan.PDF"'
    assert down.headers["Content-Type"] == "application/octet-stream"
    assert down.headers["Content-Length"] == str(len(CONTENT))
    shown = await api.call("GET", f"{{org}}/file/{row['id']}")
    assert (shown.content, shown.headers["Content-Type"]) == (CONTENT, "application/pdf")
    assert [entry.text for entry in api.tenant.activities[-2:]] == ["File uploaded: scan.PDF", "File downloaded"]
    again = await stored(api, run)
    assert (again["version"], again["id"] != row["id"]) == (2, True)
    assets = (await api.get(f"{{org}}/runs/{run['id']}?with=assets"))["data"]["assets"]["data"]
    assert [asset["id"] for asset in assets] == [row["id"], again["id"]]


async def test_an_uploaded_file_answers_a_field(api: Api) -> None:
    run = await launch(api)
    task = next(t for t in tasks_of(api, run) if any(f.field_type == "file" for f in t.captures))
    field = next(f.id for f in task.captures if f.field_type == "file")
    row = await stored(api, run)
    assert task.taskdata == {}, "uploading fills nothing"
    path = f"{{org}}/runs/{run['id']}/tasks/{task.id}"
    reply = await api.call("PUT", path, json={"taskdata": {field: [row]}})
    entry = reply.json()["data"]["taskdata"][field][0]
    assert (entry["id"], entry["full_url"]) == (row["id"], row["url"])
    assert (await api.call("PUT", path, json={"taskdata": {field: row}})).status_code == 422


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject_type": None}, "subject_type"),
        ({"subject_id": None}, "subject_id"),
        ({"uploaded_from": None}, "uploaded_from"),
        ({"subject_type": "Organization"}, "subject_type"),
        ({"subject_type": "Task"}, "subject_id"),
        ({"subject_id": "nope"}, "subject_id"),
        ({"source": "ftp"}, "source"),
    ],
)
async def test_refused_uploads(api: Api, changes: dict[str, Any], field: str) -> None:
    run = await launch(api)
    before = len(api.tenant.assets)
    fields = {"subject_type": "Run", "subject_id": run["id"], "uploaded_from": "x"} | changes
    reply = await send(api, **{name: value for name, value in fields.items() if value is not None})
    assert (reply.status_code, list(reply.json()["errors"])) == (422, [field])
    assert len(api.tenant.assets) == before


async def test_the_part_is_called_name_and_holds_an_allowed_file(make: Callable[..., Api]) -> None:
    api = make(max_upload=2048)
    run = await launch(api)
    fields = {"subject_type": "Run", "subject_id": run["id"], "uploaded_from": "x"}
    for files in (
        {"file": ("a.pdf", b"x")},
        {"name": ("a.exe", b"x")},
        {"name": ("pdf", b"x")},
        {"name": ("a.pdf", b"x" * 2049)},
    ):
        reply = await api.call("POST", "{org}/file", data=fields, files=files)
        assert (reply.status_code, list(reply.json()["errors"])) == (422, ["name"]), files
    assert "2 kilobytes" in reply.json()["errors"]["name"][0]
    assert (await api.call("POST", "{org}/file", data=fields | {"name": "text"})).status_code == 422
    assert (await api.call("POST", "{org}/file", json=fields)).status_code == 422
    assert (await send(api, ("a.pdf", b"x" * 2048), **fields)).status_code == 200


async def test_a_body_beyond_all_measure_is_refused_without_being_kept(make: Callable[..., Api]) -> None:
    api = make(max_upload=1000, record=True)
    reply = await api.call("POST", "{org}/runs", content=b"{" + b" " * (1000 + 1024 * 1024))
    assert (reply.status_code, reply.json()["error"]) == (413, True)
    assert api.sandbox.stats.received[-1].body == b""
    assert (await api.call("POST", "{org}/runs", content=b" " * (1000 + 1024 * 1024))).status_code == 422


async def test_archive_and_delete(api: Api) -> None:
    run = await launch(api)
    first, second = await stored(api, run), await stored(api, run)
    assert (await api.call("DELETE", f"{{org}}/assets/{first['id']}")).status_code == 200
    assert first["id"] in api.tenant.blobs
    for path in ("assets/{}", "file/{}", "file/{}/dl"):
        await refused(api, "GET", f"{{org}}/{path.format(first['id'])}", None, 404)
    reply = await api.call("DELETE", f"{{org}}/file/{second['id']}")
    assert (reply.status_code, reply.content) == (200, b"")
    assert second["id"] not in api.tenant.blobs
    await refused(api, "DELETE", f"{{org}}/file/{second['id']}", None, 404)


async def test_a_lost_download_is_html_unless_json_is_asked_for(api: Api) -> None:
    path = "{org}/file/nope/dl"
    assert (await api.call("GET", path)).json()["code"] == "RESOURCE_NOT_FOUND"
    page = await api.call("GET", path, headers={"Accept": "*/*"})
    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=UTF-8")


async def test_files_go_with_their_run(api: Api) -> None:
    run = await launch(api)
    row = await stored(api, run)
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    await refused(api, "GET", f"{{org}}/assets/{row['id']}", None, 404)
    await api.call("PUT", f"{{org}}/runs/{run['id']}/activate")
    assert (await api.call("GET", f"{{org}}/assets/{row['id']}")).status_code == 200
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    await api.call("DELETE", f"{{org}}/runs/{run['id']}/delete")
    assert row["id"] not in api.tenant.assets
    assert row["id"] not in api.tenant.blobs


async def test_files_in_a_directory(make: Callable[..., Api], tmp_path: Path) -> None:
    api = make(files_directory=str(tmp_path / "files"))
    run = await launch(api)
    row = await stored(api, run)
    kept = tmp_path / "files" / api.tenant.id / row["id"]
    assert kept.read_bytes() == CONTENT
    assert row["id"] not in api.tenant.blobs
    assert (await api.call("GET", f"{{org}}/file/{row['id']}/dl")).content == CONTENT
    kept.unlink()
    assert (await api.call("GET", f"{{org}}/file/{row['id']}/dl")).status_code == 500
    other = await stored(api, run)
    await api.call("DELETE", f"{{org}}/file/{other['id']}")
    assert not list((tmp_path / "files" / api.tenant.id).iterdir())


@pytest.mark.parametrize(
    ("name", "kept", "header"),
    [
        ("../../etc/x.pdf", "x.pdf", 'attachment; filename="x.pdf"'),
        ("C:\\tmp\\x.pdf", "x.pdf", 'attachment; filename="x.pdf"'),
        ("Ä b.pdf", "Ä b.pdf", "attachment; filename=\"_ b.pdf\"; filename*=UTF-8''%C3%84%20b.pdf"),
    ],
)
async def test_names_of_files(api: Api, name: str, kept: str, header: str) -> None:
    run = await launch(api)
    reply = await send(api, (name, b"x"), subject_type="Run", subject_id=run["id"], uploaded_from="x")
    row = reply.json()["data"]
    assert row["filename"] == kept
    assert (await api.call("GET", f"{{org}}/file/{row['id']}/dl")).headers["Content-Disposition"] == header


@given(
    content=st.binary(max_size=300), text=st.text(max_size=40), lines=st.sampled_from([b"", b"\r\n", b"--", b"\r\n--"])
)
def test_forms_are_read_byte_for_byte(content: bytes, text: str, lines: bytes) -> None:
    content = lines + content + lines
    request = httpx.Request("POST", "http://x", data={"word": text}, files={"name": ("a.bin", content, "a/b")})
    form = parse(request.headers["Content-Type"], request.read())
    assert form["name"].content == content
    assert (form["name"].filename, form["name"].content_type) == ("a.bin", "a/b")
    assert (form["word"].text, form["word"].filename) == (text.encode("utf-8", "replace").decode(), None)


@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=b"]),
)
def test_no_body_breaks_the_reader_of_forms(body: bytes, kind: str) -> None:
    parse(kind, body)
    parse("multipart/form-data; boundary=b", b"--b\r\n" + body + b"\r\n--b--")


def test_a_form_that_was_cut_short_gives_what_was_whole() -> None:
    request = httpx.Request("POST", "http://x", data={"a": "1", "b": "2"}, files={"name": ("a", b"x" * 50)})
    body = request.read()
    half = body[: re.search(rb"x{20}", body).end()]  # type: ignore[union-attr]
    assert set(parse(request.headers["Content-Type"], half)) == {"a", "b"}
