"""Files against the sandbox: what goes up comes down, and into the field."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tallyfy_async import (
    ConfigurationError,
    NotFoundError,
    ServerError,
    TallyfyError,
    ValidationError,
)
from tallyfy_async.errors import UploadSourceError
from tallyfy_async.sandbox import Fault
from tallyfy_async.sandbox.records import Field, Task
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
FIELD = "ab" * 16
CONTENT = os.urandom(700_000)


def kickoff(at: Place) -> Any:
    return {"subject_type": "Checklist", "subject_id": at.checklist().id, "uploaded_from": "ko_field"}


def with_field(at: Place, task: Task) -> Task:
    """Give a task an empty file field."""
    field = Field(
        id=FIELD, alias="files", label="Files", field_type="file", position=9, created_at=1_700_000_000, updated_at=0
    )
    task.captures.append(field)
    at.tenant.changed()
    return task


async def stream() -> AsyncIterator[bytes]:
    for at in range(0, len(CONTENT), 1000):
        yield CONTENT[at : at + 1000]


@pytest.mark.parametrize("kind", ["bytes", "path", "stream"])
async def test_what_goes_up_comes_down(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(CONTENT)
    source: Any = {"bytes": CONTENT, "path": path, "stream": stream()}[kind]
    async with place() as at:
        name = None if kind == "path" else "report.pdf"
        asset = await at.org.files.upload(source, filename=name, **kickoff(at))
        assert asset.filename == "report.pdf"
        assert asset.subject is not None
        assert (asset.subject.type, asset.subject.id) == ("Checklist", at.checklist().id)
        async with at.org.files.download(asset.id) as file:
            assert (file.filename, file.content_type) == ("report.pdf", "application/octet-stream")
            assert (await file.save(tmp_path / "back.pdf")).read_bytes() == CONTENT
        async with at.org.files.view(asset.id) as file:
            assert file.content_type == "application/pdf"
            assert await file.read() == CONTENT
        assert (await at.org.assets.get(asset.id)).to_dict() == asset.to_dict()
        length = at.received[0].headers.get("content-length")
        assert (length is None) == (kind == "stream")


@pytest.mark.parametrize("name", ["Bericht über Öl.pdf", 'a "quoted".pdf', "50%.pdf"])
async def test_names_survive(name: str) -> None:
    async with place() as at:
        asset = await at.org.files.upload(b"x", filename=name, **kickoff(at))
        assert asset.filename in {name, name.replace('"', "%22")}
        async with at.org.files.download(asset.id) as file:
            assert file.filename == asset.filename


async def test_a_deleted_file_is_gone_and_an_archived_record_too() -> None:
    async with place() as at:
        first = await at.org.files.upload(b"x", filename="a.pdf", **kickoff(at))
        second = await at.org.assets.upload(b"x", filename="a.pdf", **kickoff(at))
        await at.org.files.delete(first.id)
        await at.org.assets.archive(second.id)
        for asset in (first, second):
            with pytest.raises(NotFoundError):
                await at.org.assets.get(asset.id)
            with pytest.raises(NotFoundError):
                await at.org.files.download(asset.id).__aenter__()


async def test_a_refused_kind_is_told_and_nothing_is_stored() -> None:
    async with place() as at:
        with pytest.raises(ValidationError, match="must be a file of type"):
            await at.org.files.upload(b"x", filename="a.exe", **kickoff(at))
        with pytest.raises(ValidationError):
            await at.org.files.upload(b"x", filename="a.pdf", **{**kickoff(at), "subject_type": "Template"})
        assert not [one for one in at.tenant.assets.values() if one.filename in {"a.exe", "a.pdf"}]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"subject_type": "Run"}, "needs checklist_id and step_id too"),
        ({"subject_type": "Run", "step_id": "s"}, "needs checklist_id too"),
        ({"subject_type": "Task", "step_id": "s"}, "must not carry step_id"),
        ({"subject_id": ""}, "subject_id must be a str"),
        ({"subject": "x"}, "did you mean"),
        ({"uploaded_from": None}, "uploaded_from"),
    ],
)
async def test_a_wrong_place_is_told_before_anything_is_sent(change: dict[str, Any], told: str) -> None:
    async with place() as at:
        for upload in (at.org.files.upload, at.org.assets.upload):
            with pytest.raises(ConfigurationError, match=told):
                await upload(b"x", filename="a.pdf", **{**kickoff(at), **change})
        with pytest.raises(ConfigurationError, match="filename is needed"):
            await at.org.files.upload(b"x", **kickoff(at))
        with pytest.raises(ConfigurationError, match="uploaded_from"):
            await at.org.files.upload(b"x", filename="a.pdf", subject_type="Task", subject_id="t")  # type: ignore[call-arg]
        assert at.received == []


async def test_a_file_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "large.pdf"
    with path.open("wb") as file:
        file.truncate(100 * 2**20 + 1)
    async with place() as at:
        with pytest.raises(UploadSourceError, match="larger than 104857600 bytes"):
            await at.org.files.upload(path, **kickoff(at))
        assert at.received == []


@pytest.mark.parametrize("source", [CONTENT, "stream"], ids=["bytes", "stream"])
async def test_a_file_is_attached_beside_those_that_are_there(source: Any) -> None:
    async with place() as at:
        task = with_field(at, at.task())
        run_id = str(task.run_id)
        await at.org.files.attach(run_id, task.id, FIELD, b"first", filename="first.pdf")
        given = stream() if source == "stream" else source
        done = await at.org.files.attach(run_id, task.id, FIELD, given, filename="second.pdf")
        assert done.taskdata is not None
        assert [entry["filename"] for entry in done.taskdata[FIELD]] == ["first.pdf", "second.pdf"]
        stored = at.tenant.assets[done.taskdata[FIELD][1]["id"]]
        assert (stored.subject_type, stored.subject_id, stored.uploaded_from) == ("Run", run_id, FIELD)
        assert (stored.step_id, stored.checklist_id) == (task.step_id, at.tenant.runs[run_id].checklist_id)
        async with at.org.files.download(stored.id) as file:
            assert await file.read() == CONTENT
        alone = await at.org.files.attach(run_id, task.id, FIELD, b"third", filename="third.pdf", replace=True)
        assert alone.taskdata is not None
        assert [entry["filename"] for entry in alone.taskdata[FIELD]] == ["third.pdf"]


async def test_other_answers_stay_when_a_file_is_attached() -> None:
    async with place() as at:
        task = with_field(at, at.task())
        task.taskdata["cd" * 16] = "an answer"
        before = dict(task.taskdata)
        await at.org.files.attach(str(task.run_id), task.id, FIELD, b"first", filename="first.pdf")
        assert {key: value for key, value in task.taskdata.items() if key != FIELD} == before


async def test_a_field_that_cannot_be_is_told_before_the_upload() -> None:
    async with place() as at:
        task = at.task()
        with pytest.raises(ConfigurationError, match="is no field id"):
            await at.org.files.attach(str(task.run_id), task.id, "Contract", b"x", filename="a.pdf")
        with pytest.raises(NotFoundError):
            await at.org.files.attach(str(task.run_id), "0" * 32, FIELD, b"x", filename="a.pdf")
        assert [one.method for one in at.received] == ["GET"]


async def test_an_upload_that_is_not_attached_is_told_with_its_asset() -> None:
    async with place() as at:
        task = with_field(at, at.task())
        at.sandbox.faults.add(Fault(operation="update_run_task", status=500))
        with pytest.raises(ServerError) as told:
            await at.org.files.attach(str(task.run_id), task.id, FIELD, b"first", filename="first.pdf")
        asset = next(one for one in at.tenant.assets.values() if one.filename == "first.pdf")
        assert any(asset.id in note for note in told.value.__notes__)


async def test_a_field_of_another_kind_is_not_written_over() -> None:
    async with place() as at:
        task = with_field(at, at.task())
        task.taskdata[FIELD] = "a text"
        at.tenant.changed()
        with pytest.raises(TallyfyError, match="something else than files"):
            await at.org.files.attach(str(task.run_id), task.id, FIELD, b"x", filename="a.pdf")
        assert task.taskdata[FIELD] == "a text"
