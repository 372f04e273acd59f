"""The authenticated user: who it is, where it belongs, what it has to do."""

from __future__ import annotations

from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import MyTaskFilters
from tallyfy_async.models.identity import Organization, User
from tallyfy_async.models.processes import Task
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of

GET = Operation(id="get_me", method="GET", path="/me", scopes="account", call="client.me.get")
LIST_ORGANIZATIONS = Operation(
    id="list_my_organizations",
    method="GET",
    path="/me/organizations",
    scopes="account",
    call="client.organizations.list",
    max_per_page=100,
)
LIST_TASKS = Operation(
    id="list_my_tasks",
    method="GET",
    path="/organizations/{org}/me/tasks",
    scopes="account",
    call="org.me.tasks.list",
    max_per_page=100,
)


@frozen(eq=False)
class Me(Resource):
    """The authenticated user, whatever the organization."""

    async def get(self, *, options: RequestOptions | None = None) -> User:
        """Read the authenticated user: the usual way to test a token (contract: get_me)."""
        return await self._item(GET, User, options=options)


@frozen(eq=False)
class MyOrganizations(Resource):
    """The organizations of the authenticated user."""

    def list(self, *, per_page: int | None = None, options: RequestOptions | None = None) -> Pager[Organization]:
        """List the organizations that the caller belongs to (contract: list_my_organizations)."""
        return self._list(LIST_ORGANIZATIONS, Organization, per_page=per_page, options=options)


@frozen(eq=False)
class MyTasks(Resource):
    """The tasks of the authenticated user in one organization."""

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[MyTaskFilters]
    ) -> Pager[Task]:
        """List the tasks assigned to the caller, completed ones too unless ``status`` says otherwise.

        Without a status the server would leave completed tasks out, so ``all`` is sent (contract: list_my_tasks).
        """
        query = {"status": "all", **query_of(MyTaskFilters, filters, "me.tasks.list")}
        return self._list(LIST_TASKS, Task, query=query, per_page=per_page, options=options)


@frozen(eq=False)
class OrganizationMe(Resource):
    """The authenticated user in one organization."""

    @property
    def tasks(self) -> MyTasks:
        """The user's tasks."""
        return MyTasks(self._engine, self._values)
