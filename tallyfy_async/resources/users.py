"""Members of an organization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import UserFilters, UserTaskFilters
from tallyfy_async.models.identity import User, UserInvite, UserSummary, UserUpdate
from tallyfy_async.models.processes import Task
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of, with_of
from tallyfy_async.resources.custom_fields import UserCustomFields
from tallyfy_async.resources.profile import profile_changes

if TYPE_CHECKING:
    from tallyfy_async.transport.upload import FileSource

_ORG = "/organizations/{org}"
_USER = f"{_ORG}/users/{{user_id}}"

LIST = Operation(
    id="list_users",
    method="GET",
    path=f"{_ORG}/users",
    scopes="organization",
    call="org.users.list",
    # The contract prints no maximum, and its default of 9999 makes one page of everybody; 100 is the cap that the
    # official Go client knows.
    max_per_page=100,
)
LIST_MINIMAL = Operation(
    id="list_users_minimal",
    method="GET",
    path=f"{_ORG}/users-list",
    scopes="organization",
    call="org.users.list_minimal",
)
STATS = Operation(
    id="get_users_stats",
    method="GET",
    path=f"{_ORG}/users-stats",
    scopes="organization",
    call="org.users.stats",
    confidence="inferred",
)
INVITE = Operation(
    id="invite_user", method="POST", path=f"{_ORG}/users/invite", scopes="organization", call="org.users.invite"
)
GET = Operation(id="get_user", method="GET", path=_USER, scopes="organization", call="org.users.get")
UPDATE = Operation(id="update_user", method="PUT", path=_USER, scopes="organization", call="org.users.update")
REMOVE = Operation(id="remove_user", method="DELETE", path=_USER, scopes="organization", call="org.users.remove")
APPROVE = Operation(
    id="approve_user", method="PUT", path=f"{_USER}/approve", scopes="organization", call="org.users.approve"
)
REJECT = Operation(
    id="reject_user",
    method="PUT",
    path=f"{_USER}/reject",
    scopes="organization",
    call="org.users.reject",
    confidence="inferred",
)
DELETE = Operation(
    id="delete_user_permanently",
    method="DELETE",
    path=f"{_USER}/delete",
    scopes="organization",
    call="org.users.delete",
    confidence="documented",
)
DISABLE = Operation(
    id="disable_user", method="DELETE", path=f"{_USER}/disable", scopes="organization", call="org.users.disable"
)
ENABLE = Operation(
    id="enable_user", method="PUT", path=f"{_USER}/enable", scopes="organization", call="org.users.enable"
)
UNSUSPEND = Operation(
    id="unsuspend_user",
    method="PUT",
    path=f"{_USER}/unsuspend",
    scopes="organization",
    call="org.users.unsuspend",
    confidence="inferred",
)
RESEND_INVITE = Operation(
    id="resend_invite",
    method="PUT",
    path=f"{_USER}/resend-invite",
    scopes="organization",
    call="org.users.resend_invite",
    confidence="inferred",
)
WITHDRAW_INVITE = Operation(
    id="withdraw_invite",
    method="DELETE",
    path=f"{_USER}/withdraw-invite",
    scopes="organization",
    call="org.users.withdraw_invite",
    confidence="inferred",
)
UPDATE_ROLE = Operation(
    id="update_user_role", method="PUT", path=f"{_USER}/role", scopes="organization", call="org.users.update_role"
)
CONVERT = Operation(
    id="convert_user_to_guest",
    method="PUT",
    path=f"{_USER}/to/guest",
    scopes="organization",
    call="org.users.convert_to_guest",
    confidence="documented",
)
REASSIGNMENT = Operation(
    id="get_reassignment_information",
    method="GET",
    path=f"{_USER}/reassignment-information",
    scopes="organization",
    call="org.users.reassignment_information",
    confidence="inferred",
)
UPLOAD_PROFILE_PIC = Operation(
    id="upload_user_profile_pic",
    method="POST",
    path=f"{_USER}/profile-pic",
    scopes="organization",
    call="org.users.upload_profile_pic",
    confidence="inferred",
)
LIST_TASKS = Operation(
    id="list_user_tasks",
    method="GET",
    path=f"{_USER}/tasks",
    scopes="account",
    call="org.users.tasks.list",
    max_per_page=100,
)
LIST_COMPLETED_TASKS = Operation(
    id="list_user_completed_tasks",
    method="GET",
    path=f"{_USER}/tasks/completed",
    scopes="account",
    call="org.users.tasks.list_completed",
    confidence="inferred",
    max_per_page=100,
)


class _Removal(TypedDict):
    reassign_to: int


class _RoleChange(TypedDict):
    role: str


@frozen(eq=False)
class UserTasks(Resource):
    """The tasks of one member."""

    def list(
        self,
        user_id: int,
        *,
        per_page: int | None = None,
        options: RequestOptions | None = None,
        **filters: Unpack[UserTaskFilters],
    ) -> Pager[Task]:
        """List the tasks assigned to a member, completed ones too unless ``status`` says otherwise.

        Without a status the server would leave completed tasks out, so ``all`` is sent (contract: list_user_tasks).
        """
        query = {"status": "all", **query_of(UserTaskFilters, filters, "users.tasks.list")}
        return self._list(LIST_TASKS, Task, {"user_id": user_id}, query=query, per_page=per_page, options=options)

    def list_completed(
        self, user_id: int, *, per_page: int | None = None, options: RequestOptions | None = None
    ) -> Pager[Task]:
        """List the tasks that a member has completed (contract: list_user_completed_tasks).

        Inferred: no official document of today shows it; ``list(user_id, status="completed")`` is what clients use.
        """
        return self._list(LIST_COMPLETED_TASKS, Task, {"user_id": user_id}, per_page=per_page, options=options)


@frozen(eq=False)
class Users(Resource):
    """Members: active, invited and disabled ones. Guests are not among them.

    Admin and standard roles take a seat of the full pool, light ones of the light pool, from the invitation on: invite,
    enable, approve, and a role that needs another seat, raise SeatPoolExhaustedError where none is left.
    """

    @property
    def tasks(self) -> UserTasks:
        """The tasks of members."""
        return UserTasks(self._engine, self._values)

    @property
    def custom_fields(self) -> UserCustomFields:
        """The custom field values of members."""
        return UserCustomFields(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[UserFilters]
    ) -> Pager[User]:
        """List members of every status (contract: list_users)."""
        query = query_of(UserFilters, filters, "users.list")
        return self._list(LIST, User, query=query, per_page=per_page, options=options)

    def list_minimal(self, *, options: RequestOptions | None = None) -> Pager[UserSummary]:
        """List all members with few fields, in one page (contract: list_users_minimal)."""
        return self._list(LIST_MINIMAL, UserSummary, paged=False, options=options)

    async def find_by_email(self, email: str, *, options: RequestOptions | None = None) -> User | None:
        """Return the member of any status who has this address, upper and lower case alike; None if there is none."""
        async for user in self.list(q=email, options=options):
            if user.email is not None and user.email.casefold() == email.casefold():
                return user
        return None

    async def stats(self, *, options: RequestOptions | None = None) -> Any:
        """Read activity figures of members, as the server words them (contract: get_users_stats).

        Inferred: no official document shows it. ``list(with_=["stats"])`` has figures of each member.
        """
        return (await self._call(STATS, options=options)).data

    async def invite(self, *, options: RequestOptions | None = None, **fields: Unpack[UserInvite]) -> User:
        """Invite a member by e-mail; all five fields are needed, ``message`` too (contract: invite_user).

        It is sent once: IndeterminateError and ServerError mean that the mail may be on its way. Raises
        SeatPoolExhaustedError where no seat is left, ValidationError for a member's address or one that takes no mail,
        PermissionDeniedError where the organization lets administrators alone invite.
        """
        return await self._item(INVITE, User, payload=write(UserInvite, fields, what="users.invite"), options=options)

    async def get(
        self, user_id: int, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> User:
        """Read one member; administrators only, others get PermissionDeniedError (contract: get_user)."""
        return await self._item(GET, User, {"user_id": user_id}, query=with_of(with_), options=options)

    async def update(
        self, user_id: int, *, options: RequestOptions | None = None, **fields: Unpack[UserUpdate]
    ) -> User:
        """Change a member's profile; what is not given stays (contract: update_user). Administrators only.

        The server demands first_name, last_name and timezone each time, and older ones emptied what was left out: the
        member is read first unless all three are given. Raises ConfigurationError where that read lacks one,
        BadRequestError for a bot, PermissionDeniedError for a member of several organizations, who alone may do it.
        """
        body = await profile_changes(fields, lambda: self.get(user_id, options=options), "users.update")
        return await self._item(UPDATE, User, {"user_id": user_id}, payload=body, options=options)

    async def remove(
        self, user_id: int, *, reassign_to: int | None = None, options: RequestOptions | None = None
    ) -> User:
        """Disable a member, and move the tasks to ``reassign_to`` where it is given (contract: remove_user).

        Without it the tasks stay with the disabled member. Raises BadRequestError for a bot and for the default
        administrator where there is no other administrator.
        """
        query: dict[str, Any] = {}
        if reassign_to is not None:
            to = write(_Removal, {"reassign_to": reassign_to}, what="users.remove")["reassign_to"]
            query = {"with_reassignment": True, "to": to}
        return await self._item(REMOVE, User, {"user_id": user_id}, query=query, options=options)

    async def disable(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Disable a member: the seat is free, sessions end, tasks and history stay (contract: disable_user).

        Raises BadRequestError for a bot and for the default administrator where there is no other administrator.
        """
        return await self._item(DISABLE, User, {"user_id": user_id}, options=options)

    async def enable(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Make a disabled member active again, which takes a seat (contract: enable_user)."""
        return await self._item(ENABLE, User, {"user_id": user_id}, options=options)

    async def delete(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Erase a disabled member for good; the history of the tasks stays (contract: delete_user_permanently).

        The name gets ``(Deleted)`` and the address ``.deleted.{id}`` at its end. Raises BadRequestError for a member
        who is not disabled.
        """
        return await self._item(DELETE, User, {"user_id": user_id}, options=options)

    async def approve(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Accept a request to join, which takes a seat (contract: approve_user)."""
        return await self._item(APPROVE, User, {"user_id": user_id}, options=options)

    async def reject(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Refuse a request to join (contract: reject_user). Inferred: no official document shows it."""
        return await self._item(REJECT, User, {"user_id": user_id}, options=options)

    async def unsuspend(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Lift a suspension; the old password keeps working (contract: unsuspend_user).

        Inferred: no official document shows it.
        """
        return await self._item(UNSUSPEND, User, {"user_id": user_id}, options=options)

    async def resend_invite(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Send an invitation again; the old link dies, no further seat is taken (contract: resend_invite).

        Inferred: no official document shows it.
        """
        return await self._item(RESEND_INVITE, User, {"user_id": user_id}, options=options)

    async def withdraw_invite(self, user_id: int, *, options: RequestOptions | None = None) -> User:
        """Cancel an invitation; the seat is free, and a person of no other organization goes with it.

        Inferred: no official document shows it (contract: withdraw_invite).
        """
        return await self._item(WITHDRAW_INVITE, User, {"user_id": user_id}, options=options)

    async def update_role(self, user_id: int, role: str, *, options: RequestOptions | None = None) -> User:
        """Make a member ``admin``, ``standard`` or ``light``; administrators only (contract: update_user_role).

        Raises SeatPoolExhaustedError where the way up from light finds no full seat.
        """
        body = write(_RoleChange, {"role": role}, what="users.update_role")
        return await self._item(UPDATE_ROLE, User, {"user_id": user_id}, payload=body, options=options)

    async def convert_to_guest(self, user_id: int, *, options: RequestOptions | None = None) -> Any:
        """Turn a member into a guest, who leaves all groups and keeps open tasks (contract: convert_user_to_guest).

        Administrators only. Returns what the server answers, whose shape is not published. Raises an APIError, and
        nothing changes, for the only administrator and for a trial organization with no guest to spare.
        """
        return (await self._call(CONVERT, {"user_id": user_id}, options=options)).data

    async def reassignment_information(self, user_id: int, *, options: RequestOptions | None = None) -> Any:
        """Read what would have to be reassigned if a member went: tasks and steps of templates.

        Inferred: no official document shows it, nor its shape (contract: get_reassignment_information).
        """
        return (await self._call(REASSIGNMENT, {"user_id": user_id}, options=options)).data

    async def upload_profile_pic(
        self,
        user_id: int,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        options: RequestOptions | None = None,
    ) -> User:
        """Upload a member's photo: a path, or bytes or an async iterable of bytes with a ``filename``.

        Inferred: no official document shows it, nor the name of the part (contract: upload_user_profile_pic).
        """
        return await self._upload(
            UPLOAD_PROFILE_PIC,
            User,
            {"user_id": user_id},
            part="profile_pic",
            source=source,
            filename=filename,
            content_type=content_type,
            options=options,
        )
