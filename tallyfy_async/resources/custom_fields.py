"""Custom fields: values that an organization adds to its own records, and the keys that define them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.custom_fields import CustomFieldKey, CustomFieldKeyCreate
from tallyfy_async.models.filters import CustomFieldKeyFilters
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of

_ORG = "/organizations/{org}"
_CHECKLIST = f"{_ORG}/checklists/{{checklist_id}}"
_STEP = f"{_CHECKLIST}/steps/{{step_id}}"
_RUN = f"{_ORG}/runs/{{run_id}}"

LIST = Operation(
    id="list_custom_field_keys",
    method="GET",
    path=f"{_ORG}/custom-field-keys",
    scopes="organization",
    call="org.custom_fields.list",
    confidence="documented",
    max_per_page=100,
)
CREATE = Operation(
    id="create_custom_field_key",
    method="POST",
    path=f"{_ORG}/custom-field-keys",
    scopes="organization",
    call="org.custom_fields.create",
    confidence="documented",
)


_Four = tuple[Operation, Operation, Operation, Operation]


def _operations(noun: str, place: str, path: str, scope: str, read: str = "inferred") -> _Four:
    path, call = f"{path}/custom-fields", f"{place}.custom_fields"
    many, one = f"{noun}_custom_fields", f"{noun}_custom_field"
    return (
        Operation(id=f"get_{many}", method="GET", path=path, scopes=scope, call=f"{call}.get", confidence=read),
        Operation(
            id=f"replace_{many}",
            method="PUT",
            path=path,
            scopes=scope,
            call=f"{call}.replace",
            confidence="documented",
        ),
        Operation(
            id=f"delete_{one}",
            method="DELETE",
            path=f"{path}/{{key}}",
            scopes=scope,
            call=f"{call}.delete",
            confidence="documented",
        ),
        Operation(
            id=f"set_{one}",
            method="PATCH",
            path=f"{path}/{{key}}",
            scopes=scope,
            call=f"{call}.set",
            confidence="documented",
        ),
    )


def _template_operations(noun: str, place: str, path: str) -> tuple[Operation, Operation, Operation]:
    return _operations(noun, place, path, "template")[:3]


GET_USER, REPLACE_USER, DELETE_USER, SET_USER = _operations(
    "user", "org.users", f"{_ORG}/users/{{user_id}}", "organization", "documented"
)
GET_GUEST, REPLACE_GUEST, DELETE_GUEST, SET_GUEST = _operations(
    "guest", "org.guests", f"{_ORG}/guests/{{guest_code}}", "organization", "documented"
)
GET_CHECKLIST, REPLACE_CHECKLIST, DELETE_CHECKLIST = _template_operations("checklist", "org.checklists", _CHECKLIST)
GET_STEP, REPLACE_STEP, DELETE_STEP = _template_operations("step", "org.checklists.steps", _STEP)
GET_CAPTURE, REPLACE_CAPTURE, DELETE_CAPTURE = _template_operations(
    "capture", "org.checklists.steps.captures", f"{_STEP}/captures/{{capture_id}}"
)
GET_PRERUN, REPLACE_PRERUN, DELETE_PRERUN = _template_operations(
    "prerun", "org.checklists.preruns", f"{_CHECKLIST}/preruns/{{prerun_id}}"
)
GET_RUN, REPLACE_RUN, DELETE_RUN, SET_RUN = _operations("run", "org.runs", _RUN, "process")
GET_TASK, REPLACE_TASK, DELETE_TASK, SET_TASK = _operations(
    "task", "org.runs.tasks", f"{_RUN}/tasks/{{task_id}}", "process"
)
GET_TAG, REPLACE_TAG, DELETE_TAG, SET_TAG = _operations("tag", "org.tags", f"{_ORG}/tags/{{tag_id}}", "organization")
GET_FOLDER, REPLACE_FOLDER, DELETE_FOLDER, SET_FOLDER = _operations(
    "folder", "org.folders", f"{_ORG}/folders/{{folder_id}}", "unknown"
)


@frozen(eq=False)
class CustomFieldKeys(Resource):
    """The keys of custom fields. They are changed and deleted in the web app: those routes are not published."""

    def list(
        self,
        *,
        per_page: int | None = None,
        options: RequestOptions | None = None,
        **filters: Unpack[CustomFieldKeyFilters],
    ) -> Pager[CustomFieldKey]:
        """List the definitions of custom fields (contract: list_custom_field_keys)."""
        query = query_of(CustomFieldKeyFilters, filters, "custom_fields.list")
        return self._list(LIST, CustomFieldKey, query=query, per_page=per_page, options=options)

    async def create(
        self, *, options: RequestOptions | None = None, **fields: Unpack[CustomFieldKeyCreate]
    ) -> CustomFieldKey:
        """Define a custom field; administrators only (contract: create_custom_field_key).

        Key, record type and field type stay as they are for good. Raises PermissionDeniedError for others,
        ValidationError for a key that is taken.
        """
        body = write(CustomFieldKeyCreate, fields, what="custom_fields.create")
        payload = {**body.pop("more", {}), **body}
        return await self._item(CREATE, CustomFieldKey, payload=payload, options=options)


class _ValuesInput(TypedDict):
    custom_fields: Mapping[str, Any]


class _ValueInput(TypedDict):
    value: Any


@frozen(eq=False)
class CustomFields(Resource):
    """Values of custom fields of one kind of record, key -> JSON value.

    Raises of all: NotFoundError where the record is unknown or archived, PermissionDeniedError where the caller may not
    write it or the key is the system's, ValidationError where ``replace`` lacks a required key or has an unknown one.
    """

    async def _get(
        self, operation: Operation, ids: Mapping[str, Any], options: RequestOptions | None
    ) -> dict[str, Any]:
        return values_of((await self._call(operation, ids, options=options)).payload)

    async def _replace(
        self, operation: Operation, ids: Mapping[str, Any], values: Any, options: RequestOptions | None
    ) -> dict[str, Any]:
        body = write(_ValuesInput, {"custom_fields": values}, what=operation.call.removeprefix("org."))
        return values_of((await self._call(operation, ids, payload=body, options=options)).payload)

    async def _set(
        self, operation: Operation, ids: Mapping[str, Any], value: Any, options: RequestOptions | None
    ) -> dict[str, Any]:
        body = write(_ValueInput, {"value": value}, what=operation.call.removeprefix("org."))
        return values_of((await self._call(operation, ids, payload=body, options=options)).payload)


def values_of(payload: Any) -> dict[str, Any]:
    """Return the values of a reply, alone or under ``custom_fields``: its envelope is not published."""
    body = structure(payload, dict[str, Any])
    data = body.get("data", body)
    if isinstance(data, dict) and "custom_fields" in data:
        return structure(data["custom_fields"], dict[str, Any] | None, path="data.custom_fields") or {}
    return structure(data, dict[str, Any] | None, path="data") or {}


@frozen(eq=False)
class UserCustomFields(CustomFields):
    """Values of members. The member itself and administrators may write them."""

    async def get(self, user_id: int, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a member (contract: get_user_custom_fields)."""
        return await self._get(GET_USER, {"user_id": user_id}, options)

    async def replace(
        self, user_id: int, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a member; keys left out are cleared (contract: replace_user_custom_fields)."""
        return await self._replace(REPLACE_USER, {"user_id": user_id}, values, options)

    async def set(self, user_id: int, key: str, value: Any, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Set one value of a member; required ones are not asked for (contract: set_user_custom_field)."""
        return await self._set(SET_USER, {"user_id": user_id, "key": key}, value, options)

    async def delete(self, user_id: int, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a member (contract: delete_user_custom_field)."""
        await self._call(DELETE_USER, {"user_id": user_id, "key": key}, options=options)


@frozen(eq=False)
class GuestCustomFields(CustomFields):
    """Values of guests, found by ``guest.code``, not by e-mail address. Administrators may write them."""

    async def get(self, guest_code: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a guest (contract: get_guest_custom_fields)."""
        return await self._get(GET_GUEST, {"guest_code": guest_code}, options)

    async def replace(
        self, guest_code: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a guest; keys left out are cleared (contract: replace_guest_custom_fields)."""
        return await self._replace(REPLACE_GUEST, {"guest_code": guest_code}, values, options)

    async def set(
        self, guest_code: str, key: str, value: Any, *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Set one value of a guest; required ones are not asked for (contract: set_guest_custom_field)."""
        return await self._set(SET_GUEST, {"guest_code": guest_code, "key": key}, value, options)

    async def delete(self, guest_code: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a guest (contract: delete_guest_custom_field)."""
        await self._call(DELETE_GUEST, {"guest_code": guest_code, "key": key}, options=options)


@frozen(eq=False)
class RunCustomFields(CustomFields):
    """Values of runs, inherited from the template at launch."""

    async def get(self, run_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a run (contract: get_run_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_RUN, {"run_id": run_id}, options)

    async def replace(
        self, run_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a run; keys left out are cleared (contract: replace_run_custom_fields)."""
        return await self._replace(REPLACE_RUN, {"run_id": run_id}, values, options)

    async def set(self, run_id: str, key: str, value: Any, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Set one value of a run; required ones are not asked for (contract: set_run_custom_field)."""
        return await self._set(SET_RUN, {"run_id": run_id, "key": key}, value, options)

    async def delete(self, run_id: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a run (contract: delete_run_custom_field)."""
        await self._call(DELETE_RUN, {"run_id": run_id, "key": key}, options=options)


@frozen(eq=False)
class TaskCustomFields(CustomFields):
    """Values of tasks, inherited from the step at launch. Assignees and administrators may write them."""

    async def get(self, run_id: str, task_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a task (contract: get_task_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_TASK, {"run_id": run_id, "task_id": task_id}, options)

    async def replace(
        self, run_id: str, task_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a task; keys left out are cleared (contract: replace_task_custom_fields)."""
        return await self._replace(REPLACE_TASK, {"run_id": run_id, "task_id": task_id}, values, options)

    async def set(
        self, run_id: str, task_id: str, key: str, value: Any, *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Set one value of a task; required ones are not asked for (contract: set_task_custom_field)."""
        return await self._set(SET_TASK, {"run_id": run_id, "task_id": task_id, "key": key}, value, options)

    async def delete(self, run_id: str, task_id: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a task (contract: delete_task_custom_field)."""
        await self._call(DELETE_TASK, {"run_id": run_id, "task_id": task_id, "key": key}, options=options)


@frozen(eq=False)
class TagCustomFields(CustomFields):
    """Values of tags. Every member may write them."""

    async def get(self, tag_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a tag (contract: get_tag_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_TAG, {"tag_id": tag_id}, options)

    async def replace(
        self, tag_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a tag; keys left out are cleared (contract: replace_tag_custom_fields)."""
        return await self._replace(REPLACE_TAG, {"tag_id": tag_id}, values, options)

    async def set(self, tag_id: str, key: str, value: Any, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Set one value of a tag; required ones are not asked for (contract: set_tag_custom_field)."""
        return await self._set(SET_TAG, {"tag_id": tag_id, "key": key}, value, options)

    async def delete(self, tag_id: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a tag (contract: delete_tag_custom_field)."""
        await self._call(DELETE_TAG, {"tag_id": tag_id, "key": key}, options=options)


@frozen(eq=False)
class FolderCustomFields(CustomFields):
    """Values of folders. Every member may write them."""

    async def get(self, folder_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a folder (contract: get_folder_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_FOLDER, {"folder_id": folder_id}, options)

    async def replace(
        self, folder_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a folder; keys left out are cleared (contract: replace_folder_custom_fields)."""
        return await self._replace(REPLACE_FOLDER, {"folder_id": folder_id}, values, options)

    async def set(
        self, folder_id: str, key: str, value: Any, *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Set one value of a folder; required ones are not asked for (contract: set_folder_custom_field)."""
        return await self._set(SET_FOLDER, {"folder_id": folder_id, "key": key}, value, options)

    async def delete(self, folder_id: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a folder (contract: delete_folder_custom_field)."""
        await self._call(DELETE_FOLDER, {"folder_id": folder_id, "key": key}, options=options)
