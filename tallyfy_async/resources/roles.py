"""Roles."""

from __future__ import annotations

from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.roles import Role, RoleCreate, RoleUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource
from tallyfy_async.resources.merging import changes, merged

_ROLES = "/organizations/{org}/roles"
_ROLE = f"{_ROLES}/{{role_id}}"

LIST = Operation(
    id="list_roles", method="GET", path=_ROLES, scopes="organization", call="org.roles.list", confidence="inferred"
)
CREATE = Operation(
    id="create_role", method="POST", path=_ROLES, scopes="organization", call="org.roles.create", confidence="inferred"
)
GET = Operation(
    id="get_role", method="GET", path=_ROLE, scopes="organization", call="org.roles.get", confidence="inferred"
)
UPDATE = Operation(
    id="update_role", method="PUT", path=_ROLE, scopes="organization", call="org.roles.update", confidence="inferred"
)
DELETE = Operation(
    id="delete_role", method="DELETE", path=_ROLE, scopes="organization", call="org.roles.delete", confidence="inferred"
)


@frozen(eq=False)
class Roles(Resource):
    """Roles of the organization. Seed 000 says that there are such operations; their form is inferred."""

    def list(self, *, options: RequestOptions | None = None) -> Pager[Role]:
        """List roles, in one page (contract: list_roles). Inferred: no official document shows it."""
        return self._list(LIST, Role, paged=False, options=options)

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[RoleCreate]) -> Role:
        """Create a role (contract: create_role). Inferred: no official document shows it."""
        return await self._item(CREATE, Role, payload=write(RoleCreate, fields, what="roles.create"), options=options)

    async def get(self, role_id: int, *, options: RequestOptions | None = None) -> Role:
        """Read one role (contract: get_role). Inferred: no official document shows it."""
        return await self._item(GET, Role, {"role_id": role_id}, options=options)

    async def update(
        self, role_id: int, *, options: RequestOptions | None = None, **fields: Unpack[RoleUpdate]
    ) -> Role:
        """Change a role; what is not given stays (contract: update_role). Inferred: no official document shows it.

        The name is needed each time, and a list of permissions that is left out may be emptied: the role is read first
        unless both are given. Raises ConfigurationError where that read lacks one of them.
        """
        body = changes(RoleUpdate, fields, "roles.update")
        if not body.keys() >= {"name", "permissions"}:
            role = await self.get(role_id, options=options)
            body = merged(body, {"name": role.name, "permissions": _granted(role)}, "roles.update")
        return await self._item(UPDATE, Role, {"role_id": role_id}, payload=body, options=options)

    async def delete(self, role_id: int, *, options: RequestOptions | None = None) -> None:
        """Delete a role (contract: delete_role). Inferred: no official document shows it."""
        await self._call(DELETE, {"role_id": role_id}, options=options)


def _granted(role: Role) -> list[str] | None:
    return None if role.permissions is None else [name for name, granted in role.permissions.items() if granted]
