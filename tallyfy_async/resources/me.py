"""The authenticated user: who it is, where it belongs, what it has to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import MyTaskFilters
from tallyfy_async.models.identity import Organization, User, UserUpdate
from tallyfy_async.models.preferences import Preference, PreferenceInput
from tallyfy_async.models.processes import Task
from tallyfy_async.models.roles import Role
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of, with_of
from tallyfy_async.resources.profile import profile_changes
from tallyfy_async.resources.views import ProcessViews

if TYPE_CHECKING:
    from tallyfy_async.transport.upload import FileSource

_ME = "/organizations/{org}/me"

GET = Operation(id="get_me", method="GET", path="/me", scopes="account", call="client.me.get")
UPLOAD_PROFILE_PIC = Operation(
    id="upload_my_profile_pic",
    method="POST",
    path="/me/profile-pic",
    scopes="account",
    call="client.me.upload_profile_pic",
    confidence="inferred",
)
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
    path=f"{_ME}/tasks",
    scopes="account",
    call="org.me.tasks.list",
    max_per_page=100,
)
LIST_COMPLETED_TASKS = Operation(
    id="list_my_completed_tasks",
    method="GET",
    path=f"{_ME}/tasks/completed",
    scopes="account",
    call="org.me.tasks.list_completed",
    confidence="inferred",
    max_per_page=100,
)
GET_IN_ORGANIZATION = Operation(id="get_current_user", method="GET", path=_ME, scopes="account", call="org.me.get")
UPDATE = Operation(
    id="update_current_user",
    method="PUT",
    path=_ME,
    scopes="account",
    call="org.me.update",
    confidence="documented",
)
LIST_PREFERENCES = Operation(
    id="list_my_preferences",
    method="GET",
    path=f"{_ME}/preferences",
    scopes="account",
    call="org.me.preferences.list",
    confidence="documented",
)
SET_PREFERENCE = Operation(
    id="set_my_preference",
    method="POST",
    path=f"{_ME}/preferences",
    scopes="account",
    call="org.me.preferences.set",
    confidence="documented",
)
GET_ROLE = Operation(
    id="get_my_role",
    method="GET",
    path=f"{_ME}/role",
    scopes="account",
    call="org.me.role",
    confidence="documented",
)


@frozen(eq=False)
class Me(Resource):
    """The authenticated user, whatever the organization."""

    async def get(self, *, options: RequestOptions | None = None) -> User:
        """Read the authenticated user: the usual way to test a token (contract: get_me)."""
        return await self._item(GET, User, options=options)

    async def upload_profile_pic(
        self,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        options: RequestOptions | None = None,
    ) -> User:
        """Upload the caller's photo: a path, or bytes or an async iterable of bytes with a ``filename``.

        JPG, PNG or GIF, 2 MB at most, says the web app. Inferred: no official document shows it, nor the name of the
        part (contract: upload_my_profile_pic).
        """
        return await self._upload(
            UPLOAD_PROFILE_PIC,
            User,
            part="profile_pic",
            source=source,
            filename=filename,
            content_type=content_type,
            options=options,
        )


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

    def list_completed(self, *, per_page: int | None = None, options: RequestOptions | None = None) -> Pager[Task]:
        """List the tasks that the caller has completed (contract: list_my_completed_tasks).

        Inferred: no official document of today shows it; ``list(status="completed")`` is what clients use.
        """
        return self._list(LIST_COMPLETED_TASKS, Task, per_page=per_page, options=options)


@frozen(eq=False)
class Preferences(Resource):
    """The authenticated user's preferences."""

    def list(self, *, options: RequestOptions | None = None) -> Pager[Preference]:
        """List the caller's preferences, in one page (contract: list_my_preferences)."""
        return self._list(LIST_PREFERENCES, Preference, paged=False, options=options)

    async def set(self, *, options: RequestOptions | None = None, **fields: Unpack[PreferenceInput]) -> Preference:
        """Store one preference; its value is a text, for numbers too (contract: set_my_preference)."""
        body = write(PreferenceInput, fields, what="me.preferences.set")
        return await self._item(SET_PREFERENCE, Preference, payload=body, options=options)


@frozen(eq=False)
class OrganizationMe(Resource):
    """The authenticated user in one organization."""

    @property
    def tasks(self) -> MyTasks:
        """The user's tasks."""
        return MyTasks(self._engine, self._values)

    @property
    def preferences(self) -> Preferences:
        """The user's preferences."""
        return Preferences(self._engine, self._values)

    @property
    def process_views(self) -> ProcessViews:
        """The user's saved views of the process list."""
        return ProcessViews(self._engine, self._values)

    async def get(self, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None) -> User:
        """Read the caller as a member of this organization, with the includes of members.

        Raises PermissionDeniedError or NotFoundError where the caller is none (contract: get_current_user).
        """
        return await self._item(GET_IN_ORGANIZATION, User, query=with_of(with_), options=options)

    async def update(self, *, options: RequestOptions | None = None, **fields: Unpack[UserUpdate]) -> User:
        """Change the caller's own profile; what is not given stays (contract: update_current_user).

        The server demands first_name, last_name and timezone each time, and older ones emptied what was left out: the
        caller is read first unless all three are given. Raises ConfigurationError where that read lacks one. E-mail
        address and password have routes of their own, which are not published.
        """
        body = await profile_changes(fields, lambda: self.get(options=options), "me.update")
        return await self._item(UPDATE, User, payload=body, options=options)

    async def role(self, *, options: RequestOptions | None = None) -> Role:
        """Read the caller's role with its permissions (contract: get_my_role)."""
        return await self._item(GET_ROLE, Role, options=options)
