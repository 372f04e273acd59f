"""Members of an organization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import UserFilters
from tallyfy_async.models.identity import User
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of, with_of

LIST = Operation(
    id="list_users",
    method="GET",
    path="/organizations/{org}/users",
    scopes="organization",
    call="org.users.list",
    # The contract prints no maximum, and its default of 9999 makes one page of everybody; 100 is the cap that the
    # official Go client knows.
    max_per_page=100,
)
GET = Operation(
    id="get_user",
    method="GET",
    path="/organizations/{org}/users/{user_id}",
    scopes="organization",
    call="org.users.get",
)


@frozen(eq=False)
class Users(Resource):
    """Members: active, invited and disabled ones. Guests are not among them."""

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[UserFilters]
    ) -> Pager[User]:
        """List members of every status (contract: list_users)."""
        query = query_of(UserFilters, filters, "users.list")
        return self._list(LIST, User, query=query, per_page=per_page, options=options)

    async def get(
        self, user_id: int, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> User:
        """Read one member; administrators only, others get PermissionDeniedError (contract: get_user)."""
        return await self._item(GET, User, {"user_id": user_id}, query=with_of(with_), options=options)
