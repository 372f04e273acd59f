"""Files and assets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tallyfy_async.engine.download import Download
from tests.contract.row import Row
from tests.resources.place import Place


async def stream() -> AsyncIterator[bytes]:
    """Give a file in two pieces."""
    yield b"%PDF-"
    yield b"1.7"


async def stored(at: Place) -> Any:
    """Upload a file for a kick-off field."""
    return await at.org.files.upload(
        b"content", filename="a.pdf", subject_type="Checklist", subject_id=at.checklist().id, uploaded_from="ko_field"
    )


async def fetched(file: Download) -> bytes:
    """Read a file."""
    async with file:
        return await file.read()


def for_run(at: Place) -> dict[str, Any]:
    """Return where a file of a run's task belongs."""
    task = at.task()
    run = at.tenant.runs[str(task.run_id)]
    place = {"subject_id": run.id, "step_id": task.step_id, "checklist_id": run.checklist_id}
    return {"subject_type": "Run", "uploaded_from": "f" * 32, **place}


ROWS = [
    Row(operation="upload_file", call=stored),
    Row(operation="upload_file", call=lambda at: at.org.files.upload(stream(), filename="a.pdf", **for_run(at))),
    Row(
        operation="upload_file",
        call=lambda at: at.org.files.upload(
            __file__,
            filename="a.txt",
            content_type="text/plain",
            subject_type="Task",
            subject_id=at.oneoff().id,
            uploaded_from="f" * 32,
            system="Dropbox",
        ),
    ),
    Row(operation="upload_asset", call=lambda at: at.org.assets.upload(b"x", filename="a.pdf", **for_run(at))),
    Row(operation="get_asset", call=lambda at: at.org.assets.get(at.arranged.id), arrange=stored),
    Row(operation="archive_asset", call=lambda at: at.org.assets.archive(at.arranged.id), arrange=stored),
    Row(operation="view_file", call=lambda at: fetched(at.org.files.view(at.arranged.id)), arrange=stored),
    Row(operation="download_file", call=lambda at: fetched(at.org.files.download(at.arranged.id)), arrange=stored),
    Row(operation="delete_file", call=lambda at: at.org.files.delete(at.arranged.id), arrange=stored),
]
