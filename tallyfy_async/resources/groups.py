"""Groups of members and guests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import GroupFilters
from tallyfy_async.models.groups import Group, GroupCreate, GroupReplace, GroupUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of, with_of
from tallyfy_async.resources.merging import changes, merged

_GROUPS = "/organizations/{org}/groups"
_GROUP = f"{_GROUPS}/{{group_id}}"

LIST = Operation(
    id="list_groups", method="GET", path=_GROUPS, scopes="organization", call="org.groups.list", max_per_page=100
)
CREATE = Operation(id="create_group", method="POST", path=_GROUPS, scopes="organization", call="org.groups.create")
GET = Operation(id="get_group", method="GET", path=_GROUP, scopes="organization", call="org.groups.get")
UPDATE = Operation(id="update_group", method="PUT", path=_GROUP, scopes="organization", call="org.groups.update")
DELETE = Operation(id="delete_group", method="DELETE", path=_GROUP, scopes="organization", call="org.groups.delete")


@frozen(eq=False)
class Groups(Resource):
    """Groups of members and guests. Every member reads them; administrators write, and others where they are let."""

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[GroupFilters]
    ) -> Pager[Group]:
        """List groups (contract: list_groups)."""
        query = query_of(GroupFilters, filters, "groups.list")
        return self._list(LIST, Group, query=query, per_page=per_page, options=options)

    async def find_by_name(self, name: str, *, options: RequestOptions | None = None) -> Group | None:
        """Return the group of exactly this name, None if there is none."""
        async for group in self.list(q=name, options=options):
            if group.name == name:
                return group
        return None

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[GroupCreate]) -> Group:
        """Create a group; name and description are needed (contract: create_group).

        Raises ValidationError for a name that is taken and for an empty description.
        """
        return await self._item(
            CREATE, Group, payload=write(GroupCreate, fields, what="groups.create"), options=options
        )

    async def get(
        self, group_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Group:
        """Read one group (contract: get_group)."""
        return await self._item(GET, Group, {"group_id": group_id}, query=with_of(with_), options=options)

    async def update(
        self, group_id: str, *, options: RequestOptions | None = None, **fields: Unpack[GroupUpdate]
    ) -> Group:
        """Change a group; what is not given stays (contract: update_group).

        The server replaces members and guests by the lists of the request, so the group is read first and what is not
        given is sent again. Raises ConfigurationError where that read lacks one of the lists.
        """
        body = changes(GroupUpdate, fields, "groups.update")
        if not body.keys() >= {"name", "members", "guests"}:
            body = merged(body, _present(await self.get(group_id, options=options)), "groups.update")
        return await self._item(UPDATE, Group, {"group_id": group_id}, payload=body, options=options)

    async def replace(
        self, group_id: str, *, options: RequestOptions | None = None, **fields: Unpack[GroupReplace]
    ) -> Group:
        """Give a group this name and exactly these members and guests, without reading it first.

        A description that is not given stays. Raises what ``update`` does.
        """
        body = write(GroupReplace, fields, what="groups.replace")
        return await self._item(UPDATE, Group, {"group_id": group_id}, payload=body, options=options)

    async def delete(self, group_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a group for good; its members and guests stay (contract: delete_group)."""
        await self._call(DELETE, {"group_id": group_id}, options=options)


def _present(group: Group) -> dict[str, Any]:
    return {"name": group.name, "members": group.members, "guests": group.guest_emails}
