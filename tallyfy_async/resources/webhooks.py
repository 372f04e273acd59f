"""Watchers: subscriptions to the events of an organization."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TypedDict

from attrs import frozen

from tallyfy_async.engine.pager import Page, Pager
from tallyfy_async.engine.plan import Call, RequestOptions
from tallyfy_async.models.watchers import Watcher
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.protocol.response import item, listing
from tallyfy_async.resources.base import Resource

_operation = partial(Operation, scopes="organization", confidence="documented")

LIST = _operation(
    id="list_watchers", method="GET", path="/organizations/{org}/watchers", call="org.webhooks.list_watchers"
)
ADD = _operation(
    id="add_watcher",
    method="POST",
    path="/organizations/{org}/users/{user_id}/add-watcher",
    call="org.webhooks.add_watcher",
)
REMOVE = _operation(
    id="remove_watcher",
    method="DELETE",
    path="/organizations/{org}/remove-watcher/{watcher_id}",
    call="org.webhooks.remove_watcher",
)


class _Query(TypedDict, total=False):
    notification: str


class _Webhook(TypedDict):
    webhook: str


@frozen(eq=False)
class Webhooks(Resource):
    """Subscriptions of a URL to all events of the organization; the server may not have them yet."""

    def list_watchers(
        self, *, notification: str | None = None, options: RequestOptions | None = None
    ) -> Pager[Watcher]:
        """List the watchers of the organization in one page; ``notification="webhook"`` for URLs only.

        The reply may be a bare list (contract: list_watchers).
        """
        given: Mapping[str, str] = {} if notification is None else {"notification": notification}
        query = write(_Query, given, what="webhooks.list_watchers")
        Call.plan(LIST, self._values, query=query, options=options)  # wrong arguments are told here

        async def fetch(number: int) -> Page[Watcher]:
            payload = (await self._call(LIST, query=query, options=options)).payload
            found = listing({"data": payload} if isinstance(payload, list) else payload)
            items = tuple(structure(one, Watcher, path=f"data[{at}]") for at, one in enumerate(found.items))
            return Page(items=items, number=number, pagination=found.pagination, fetch=fetch)

        return self._pager(LIST, fetch)

    async def add_watcher(self, user_id: int, *, webhook: str, options: RequestOptions | None = None) -> Watcher:
        """Subscribe a URL to every event of the organization; ``user_id`` is the caller's own.

        Administrators only, others get PermissionDeniedError. It is sent once. Every event comes, of seven kinds: sort
        them out by ``event`` of the body. What the server answers is not verified: the ``id`` may be missing
        (contract: add_watcher).
        """
        body = {
            "object_type": "organization",
            "object_id": self._values["org"],
            "notification_type": "webhook",
            "frequency": "electric",
            **write(_Webhook, {"webhook": webhook}, what="webhooks.add_watcher"),
        }
        response = await self._call(ADD, {"user_id": user_id}, payload=body, options=options)
        return structure(item(response.payload or {}), Watcher, path="data")

    async def remove_watcher(self, watcher_id: str | int, *, options: RequestOptions | None = None) -> None:
        """End a subscription (contract: remove_watcher)."""
        await self._call(REMOVE, {"watcher_id": watcher_id}, options=options)
