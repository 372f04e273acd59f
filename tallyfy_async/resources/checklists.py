"""Checklists: the templates of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import ChecklistFilters
from tallyfy_async.models.templates import Checklist
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of, with_of

LIST = Operation(
    id="list_checklists",
    method="GET",
    path="/organizations/{org}/checklists",
    scopes="template",
    call="org.checklists.list",
    max_per_page=100,
)
GET = Operation(
    id="get_checklist",
    method="GET",
    path="/organizations/{org}/checklists/{checklist_id}",
    scopes="template",
    call="org.checklists.get",
)


@frozen(eq=False)
class Checklists(Resource):
    """Templates with their steps, fields and kick-off form."""

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[ChecklistFilters]
    ) -> Pager[Checklist]:
        """List templates, pinned ones first; archived ones only with ``archived`` (contract: list_checklists)."""
        query = query_of(ChecklistFilters, filters, "checklists.list")
        return self._list(LIST, Checklist, query=query, per_page=per_page, options=options)

    async def get(
        self, checklist_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Checklist:
        """Read one template; ``with_=["steps"]`` brings steps and their fields along.

        Raises NotFoundError also for an archived template and for one that the caller may not see
        (contract: get_checklist).
        """
        values = {"checklist_id": checklist_id}
        return await self._item(GET, Checklist, values, query=with_of(with_), options=options)
