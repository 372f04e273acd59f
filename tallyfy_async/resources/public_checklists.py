"""Templates of the public library."""

from __future__ import annotations

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.templates import Checklist
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource

LIST = Operation(
    id="list_public_checklists",
    method="GET",
    path="/organizations/checklists/public",
    scopes="none",
    call="client.public_checklists.list",
    confidence="inferred",
    max_per_page=100,
)


@frozen(eq=False)
class PublicChecklists(Resource):
    """Templates that anybody may read."""

    def list(self, *, per_page: int | None = None, options: RequestOptions | None = None) -> Pager[Checklist]:
        """List the templates of the public library (contract: list_public_checklists).

        Inferred: no official document shows it.
        """
        return self._list(LIST, Checklist, per_page=per_page, options=options)
