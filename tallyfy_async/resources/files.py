"""Files and assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError, TallyfyError
from tallyfy_async.models.files import Asset, FileUpload
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, check_answers

if TYPE_CHECKING:
    from tallyfy_async.engine.download import Download
    from tallyfy_async.models.processes import Task
    from tallyfy_async.transport.upload import FileSource

_FILE = "/organizations/{org}/file"
_ASSETS = "/organizations/{org}/assets"

UPLOAD = Operation(id="upload_file", method="POST", path=_FILE, scopes="unknown", call="org.files.upload")
VIEW = Operation(
    id="view_file",
    method="GET",
    path=f"{_FILE}/{{asset_id}}",
    scopes="unknown",
    call="org.files.view",
    confidence="documented",
)
DOWNLOAD = Operation(
    id="download_file", method="GET", path=f"{_FILE}/{{asset_id}}/dl", scopes="unknown", call="org.files.download"
)
DELETE = Operation(
    id="delete_file",
    method="DELETE",
    path=f"{_FILE}/{{asset_id}}",
    scopes="unknown",
    call="org.files.delete",
    confidence="documented",
)
UPLOAD_ASSET = Operation(id="upload_asset", method="POST", path=_ASSETS, scopes="unknown", call="org.assets.upload")
GET_ASSET = Operation(
    id="get_asset",
    method="GET",
    path=f"{_ASSETS}/{{asset_id}}",
    scopes="unknown",
    call="org.assets.get",
    confidence="documented",
)
ARCHIVE_ASSET = Operation(
    id="archive_asset",
    method="DELETE",
    path=f"{_ASSETS}/{{asset_id}}",
    scopes="unknown",
    call="org.assets.archive",
    confidence="documented",
)


def _place(fields: Mapping[str, Any], what: str) -> dict[str, str]:
    """Return the checked fields of an upload.

    A run's file that lacks step or template would be filed under a wrong key, which the server does not tell.
    """
    place = {name: body_id(name, value) for name, value in write(FileUpload, fields, what=what).items()}
    missing, given = {"step_id", "checklist_id"} - place.keys(), {"step_id", "checklist_id"} & place.keys()
    if place["subject_type"] == "Run" and missing:
        msg = f"{what}: a file of a run needs {' and '.join(sorted(missing))} too, or it is filed under a wrong key"
        raise ConfigurationError(msg)
    if place["subject_type"] == "Task" and given:
        msg = f"{what}: a file of a one-off task must not carry {' or '.join(sorted(given))}"
        raise ConfigurationError(msg)
    return place


@frozen(eq=False)
class Files(Resource):
    """Files of fields, runs and templates."""

    async def upload(
        self,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        options: RequestOptions | None = None,
        **fields: Unpack[FileUpload],
    ) -> Asset:
        """Upload a file of at most 100 MiB; that alone fills no field, as ``attach`` does (contract: upload_file).

        ``source`` is a path, bytes, or an async iterable of bytes; the last two need a ``filename``, by whose extension
        the server knows the kind. It is read while it is sent, never whole. Each upload stores a new copy, so it is
        sent again only where the server refused it (401, 429) or nothing was sent, and then only from a path or bytes.
        ``timeout`` bounds each piece; a deadline that is not given in ``options`` grows with the size.

        Raises UploadSourceError for a source that is too large, changes meanwhile or cannot be read again,
        ConfigurationError for a run's file without ``step_id`` and ``checklist_id``, OSError for an unreadable path,
        ValidationError for a refused subject or extension. IndeterminateError and ServerError mean that a copy may have
        been stored.
        """
        place = _place(fields, "files.upload")
        return await self._upload(
            UPLOAD,
            Asset,
            part="name",
            source=source,
            filename=filename,
            content_type=content_type,
            fields=place,
            options=options,
        )

    def download(
        self, asset_id: str, *, max_bytes: int | None = None, options: RequestOptions | None = None
    ) -> Download:
        """Download a file: ``async with org.files.download(asset_id) as file: await file.save(path)``.

        The activity feed tells of it. Entering raises NotFoundError, a permanent ServerError where the stored object is
        gone, and DecodeError for more than ``max_bytes`` (256 MiB if not given) (contract: download_file).
        """
        return self._download(DOWNLOAD, {"asset_id": asset_id}, max_bytes=max_bytes, options=options)

    def view(self, asset_id: str, *, max_bytes: int | None = None, options: RequestOptions | None = None) -> Download:
        """Download a file with its own content type, as browsers show it; see ``download`` (contract: view_file)."""
        return self._download(VIEW, {"asset_id": asset_id}, max_bytes=max_bytes, options=options)

    async def delete(self, asset_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a file and its record for good; logos of the organization are refused (contract: delete_file)."""
        await self._call(DELETE, {"asset_id": asset_id}, options=options)

    async def attach(
        self,
        run_id: str,
        task_id: str,
        field_id: str,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        replace: bool = False,
        options: RequestOptions | None = None,
    ) -> Task:
        """Upload a file and write it into a field of a run's task, beside the files that are there; return the task.

        ``field_id`` is the field's id, ``source`` what ``upload`` takes. With ``replace`` the field then holds this
        file alone. Nobody else should change the field meanwhile: the server takes the list of files as a whole. Raises
        what ``upload``, ``runs.tasks.get`` and ``runs.tasks.update`` raise; where the file is stored already, a note of
        the error names its asset.
        """
        from tallyfy_async.resources.run_tasks import RunTasks  # noqa: PLC0415 - lazy: the rest needs no tasks

        check_answers("files.attach", {field_id: None}, 'task.form_fields (with_=["form_fields"])')
        tasks = RunTasks(self._engine, self._values)
        task = await tasks.get(run_id, task_id, options=options)
        given: dict[str, Any] = {"filename": filename, "content_type": content_type, "options": options}
        asset = await self.upload(source, uploaded_from=field_id, **_owner(task, run_id), **given)
        try:
            # Read again: the upload may have taken long.
            there = [] if replace else _files_of(await tasks.get(run_id, task_id, options=options), field_id)
            return await tasks.update(run_id, task_id, taskdata={field_id: [*there, asset.to_dict()]}, options=options)
        except TallyfyError as error:
            error.add_note(f"The file is stored as asset {asset.id}, but it may not be in the field.")
            raise


def _owner(task: Task, run_id: str) -> dict[str, Any]:
    if task.step_id and task.checklist_id:
        ids = {"step_id": task.step_id, "checklist_id": task.checklist_id}
        return {"subject_type": "Run", "subject_id": run_id, **ids}
    return {"subject_type": "Task", "subject_id": task.id}


def _files_of(task: Task, field_id: str) -> list[Any]:
    """Return what a file field holds; raise ConfigurationError for what no file field can hold."""
    there: Any = (task.taskdata or {}).get(field_id) or []
    if not isinstance(there, list):
        msg = "the field holds something else than files: is it a file field? replace=True writes over it"
        raise ConfigurationError(msg)
    return [*there]


@frozen(eq=False)
class Assets(Resource):
    """Assets of the organization: the records of files."""

    async def upload(
        self,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        options: RequestOptions | None = None,
        **fields: Unpack[FileUpload],
    ) -> Asset:
        """Upload a file by the other of two routes to the same place; see ``files.upload`` (contract: upload_asset)."""
        place = _place(fields, "assets.upload")
        return await self._upload(
            UPLOAD_ASSET,
            Asset,
            part="name",
            source=source,
            filename=filename,
            content_type=content_type,
            fields=place,
            options=options,
        )

    async def get(self, asset_id: str, *, options: RequestOptions | None = None) -> Asset:
        """Read what is known of a file: its name, version and owner (contract: get_asset)."""
        return await self._item(GET_ASSET, Asset, {"asset_id": asset_id}, options=options)

    async def archive(self, asset_id: str, *, options: RequestOptions | None = None) -> None:
        """Archive the record of a file; the stored object stays, which ``files.delete`` does not leave.

        The published documents do not show the answer (contract: archive_asset).
        """
        await self._call(ARCHIVE_ASSET, {"asset_id": asset_id}, options=options)
