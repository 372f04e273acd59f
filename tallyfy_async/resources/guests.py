"""Guests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import NotFoundError
from tallyfy_async.models.filters import GuestFilters, GuestTaskFilters
from tallyfy_async.models.guests import Guest, GuestCreate, GuestSummary, GuestTask, GuestTaskUpdate, GuestUpdate
from tallyfy_async.models.processes import Task
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, check_answers, query_of, with_of
from tallyfy_async.resources.custom_fields import GuestCustomFields
from tallyfy_async.resources.merging import changes

_GUESTS = "/organizations/{org}/guests"
_GUEST = f"{_GUESTS}/{{email}}"

LIST = Operation(
    id="list_guests",
    method="GET",
    path=_GUESTS,
    scopes="organization",
    call="org.guests.list",
    # No maximum is printed, and the default of 999 makes one page of nearly everybody.
    max_per_page=100,
)
LIST_MINIMAL = Operation(
    id="list_guests_minimal",
    method="GET",
    path="/organizations/{org}/guests-list",
    scopes="organization",
    call="org.guests.list_minimal",
    confidence="documented",
)
CREATE = Operation(id="create_guest", method="POST", path=_GUESTS, scopes="organization", call="org.guests.create")
GET = Operation(id="get_guest", method="GET", path=_GUEST, scopes="organization", call="org.guests.get")
UPDATE = Operation(id="update_guest", method="PUT", path=_GUEST, scopes="organization", call="org.guests.update")
DELETE = Operation(id="delete_guest", method="DELETE", path=_GUEST, scopes="organization", call="org.guests.delete")
DISABLE = Operation(
    id="disable_guest", method="DELETE", path=f"{_GUEST}/disable", scopes="organization", call="org.guests.disable"
)
ENABLE = Operation(
    id="enable_guest", method="PUT", path=f"{_GUEST}/enable", scopes="organization", call="org.guests.enable"
)
CONVERT = Operation(
    id="convert_guest_to_member",
    method="POST",
    path=f"{_GUEST}/to/member",
    scopes="organization",
    call="org.guests.convert_to_member",
    confidence="documented",
)
LIST_TASKS = Operation(
    id="list_guest_tasks",
    method="GET",
    path=f"{_GUESTS}/{{guest_id}}/tasks",
    scopes="process",
    call="org.guests.tasks.list",
    max_per_page=10,
)
GET_TASK = Operation(
    id="get_guest_task_by_code",
    method="GET",
    path=f"{_GUESTS}/tasks/{{code}}",
    scopes="none",
    call="org.guests.tasks.get_by_code",
    confidence="inferred",
)
UPDATE_TASK = Operation(
    id="update_guest_task_by_code",
    method="PUT",
    path=f"{_GUESTS}/tasks/{{code}}",
    scopes="none",
    call="org.guests.tasks.update_by_code",
    confidence="inferred",
)


@frozen(eq=False)
class GuestTasks(Resource):
    """The tasks of guests."""

    def list(
        self,
        guest_id: str,
        *,
        per_page: int | None = None,
        options: RequestOptions | None = None,
        **filters: Unpack[GuestTaskFilters],
    ) -> Pager[Task]:
        """List the tasks assigned to a guest, 10 a page whatever is asked for (contract: list_guest_tasks).

        ``guest_id`` is ``guest.code``, the end of the guest's link, not the e-mail address. ``all`` is sent as status
        unless another is given, as official clients do.
        """
        query = {"status": "all", **query_of(GuestTaskFilters, filters, "guests.tasks.list")}
        return self._list(LIST_TASKS, Task, {"guest_id": guest_id}, query=query, per_page=per_page, options=options)

    async def get_by_code(self, code: str, *, options: RequestOptions | None = None) -> GuestTask:
        """Read a task as the page behind its link for guests shows it (contract: get_guest_task_by_code).

        Inferred: no official document shows it.
        """
        return await self._item(GET_TASK, GuestTask, {"code": code}, options=options)

    async def update_by_code(
        self, code: str, *, options: RequestOptions | None = None, **fields: Unpack[GuestTaskUpdate]
    ) -> GuestTask:
        """Fill in or complete a task through its link for guests (contract: update_guest_task_by_code).

        Inferred: no official document shows it.
        """
        body = changes(GuestTaskUpdate, fields, "guests.tasks.update_by_code")
        check_answers("taskdata", body.get("taskdata"), "the keys of task.taskdata")
        return await self._item(UPDATE_TASK, GuestTask, {"code": code}, payload=body, options=options)


@frozen(eq=False)
class Guests(Resource):
    """People outside of the organization who take part in its tasks. Their key is the e-mail address."""

    @property
    def tasks(self) -> GuestTasks:
        """The tasks of guests."""
        return GuestTasks(self._engine, self._values)

    @property
    def custom_fields(self) -> GuestCustomFields:
        """The custom field values of guests."""
        return GuestCustomFields(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[GuestFilters]
    ) -> Pager[Guest]:
        """List guests, disabled ones too (contract: list_guests)."""
        query = query_of(GuestFilters, filters, "guests.list")
        return self._list(LIST, Guest, query=query, per_page=per_page, options=options)

    def list_minimal(self, *, options: RequestOptions | None = None) -> Pager[GuestSummary]:
        """List all guests with few fields, in one page (contract: list_guests_minimal)."""
        return self._list(LIST_MINIMAL, GuestSummary, paged=False, options=options)

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[GuestCreate]) -> Guest:
        """Add a guest; one whom another organization knows is linked, not doubled (contract: create_guest).

        It is sent once: IndeterminateError and ServerError mean that the guest may exist. Raises ConfigurationError for
        unknown fields, which the server would drop without a word; ValidationError for an address of a member, of the
        organization's own domain or of one that takes no mail; RateLimitError after 30 guests in an hour.
        """
        return await self._item(
            CREATE, Guest, payload=write(GuestCreate, fields, what="guests.create"), options=options
        )

    async def get(
        self, email: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Guest:
        """Read one guest; ``with_=["stats"]`` brings figures (contract: get_guest)."""
        return await self._item(GET, Guest, {"email": email}, query=with_of(with_), options=options)

    async def find_by_email(self, email: str, *, options: RequestOptions | None = None) -> Guest | None:
        """Return the guest who has this address, None if there is none."""
        try:
            return await self.get(email, options=options)
        except NotFoundError:
            return None

    async def update(
        self, email: str, *, options: RequestOptions | None = None, **fields: Unpack[GuestUpdate]
    ) -> Guest:
        """Replace the members that a guest is associated with, the one thing that can change (contract: update_guest).

        Names, phone numbers and addresses are refused here, because the server would say yes and drop them. The e-mail
        address cannot change: delete the guest and create it anew. Raises NotFoundError or ValidationError for an
        unknown guest.
        """
        body = write(GuestUpdate, fields, what="guests.update")
        return await self._item(UPDATE, Guest, {"email": email}, payload=body, options=options)

    async def delete(self, email: str, *, options: RequestOptions | None = None) -> Guest:
        """Remove a guest from the organization and from all tasks (contract: delete_guest).

        Raises ValidationError, not NotFoundError, for an unknown guest.
        """
        return await self._item(DELETE, Guest, {"email": email}, options=options)

    async def disable(self, email: str, *, options: RequestOptions | None = None) -> Guest:
        """Disable a guest, which sets ``details.disabled_at`` (contract: disable_guest).

        Raises PermissionDeniedError for a guest with incomplete tasks: that is a rule, not a matter of the token.
        """
        return await self._item(DISABLE, Guest, {"email": email}, options=options)

    async def enable(self, email: str, *, options: RequestOptions | None = None) -> Guest:
        """Enable a guest again, which sets ``details.reactivated_at`` (contract: enable_guest)."""
        return await self._item(ENABLE, Guest, {"email": email}, options=options)

    async def convert_to_member(self, email: str, *, options: RequestOptions | None = None) -> Any:
        """Turn a guest into a standard member, who is mailed a password (contract: convert_guest_to_member).

        Administrators only. Returns what the server answers, whose shape is not published. Raises
        SeatPoolExhaustedError where no full seat is left.
        """
        return (await self._call(CONVERT, {"email": email}, options=options)).data
