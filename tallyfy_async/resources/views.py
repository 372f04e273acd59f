"""The authenticated user's saved views of processes."""

from __future__ import annotations

from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.preferences import ProcessView, ProcessViewInput
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource
from tallyfy_async.resources.merging import changes

_VIEWS = "/organizations/{org}/me/process-views"
_VIEW = f"{_VIEWS}/{{view_id}}"

LIST = Operation(
    id="list_process_views",
    method="GET",
    path=_VIEWS,
    scopes="account",
    call="org.me.process_views.list",
    confidence="documented",
)
CREATE = Operation(
    id="create_process_view",
    method="POST",
    path=_VIEWS,
    scopes="account",
    call="org.me.process_views.create",
    confidence="documented",
)
GET = Operation(
    id="get_process_view",
    method="GET",
    path=_VIEW,
    scopes="account",
    call="org.me.process_views.get",
    confidence="documented",
)
UPDATE = Operation(
    id="update_process_view",
    method="PUT",
    path=_VIEW,
    scopes="account",
    call="org.me.process_views.update",
    confidence="documented",
)
DELETE = Operation(
    id="delete_process_view",
    method="DELETE",
    path=_VIEW,
    scopes="account",
    call="org.me.process_views.delete",
    confidence="inferred",
)


@frozen(eq=False)
class ProcessViews(Resource):
    """Saved views of the process list, each member's own."""

    def list(self, *, options: RequestOptions | None = None) -> Pager[ProcessView]:
        """List the caller's views, in one page (contract: list_process_views)."""
        return self._list(LIST, ProcessView, paged=False, options=options)

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[ProcessViewInput]) -> ProcessView:
        """Save a view (contract: create_process_view)."""
        body = write(ProcessViewInput, fields, what="me.process_views.create")
        return await self._item(CREATE, ProcessView, payload=body, options=options)

    async def get(self, view_id: str, *, options: RequestOptions | None = None) -> ProcessView:
        """Read one view (contract: get_process_view)."""
        return await self._item(GET, ProcessView, {"view_id": view_id}, options=options)

    async def update(
        self, view_id: str, *, options: RequestOptions | None = None, **fields: Unpack[ProcessViewInput]
    ) -> ProcessView:
        """Change a view (contract: update_process_view). Whether fields that are left out stay is not published."""
        body = changes(ProcessViewInput, fields, "me.process_views.update")
        return await self._item(UPDATE, ProcessView, {"view_id": view_id}, payload=body, options=options)

    async def delete(self, view_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a view (contract: delete_process_view).

        Inferred: seed 000 says that views can be deleted, no official document shows how.
        """
        await self._call(DELETE, {"view_id": view_id}, options=options)
