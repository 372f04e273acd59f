from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import (
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    SeatPoolExhaustedError,
    ValidationError,
)
from tallyfy_async.models import User
from tallyfy_async.sandbox import UNSET, Fault
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
ALONE = 1004
"""A member of this organization and no other; 1001 is the caller, 1002 is a member of two."""
INVITATION: Any = {
    "email": "ada@analysts.org",
    "first_name": "Ada",
    "last_name": "Byron",
    "role": "standard",
    "message": "Welcome",
}


def sent(at: Place) -> list[tuple[str, Any]]:
    return [(request.method, body) for request, body in zip(at.received, at.bodies(), strict=True)]


async def test_an_update_sends_the_names_and_the_zone_again() -> None:
    async with place() as at:
        user = at.tenant.members[ALONE].user
        before = (user.first_name, user.last_name, user.timezone, user.phone)
        found = await at.org.users.update(ALONE, job_title="Analyst", team=None)
        assert (user.first_name, user.last_name, user.timezone, user.phone) == before
        assert (found.id, found.job_title, user.job_title, user.team) == (ALONE, "Analyst", "Analyst", None)
        trio = dict(zip(("first_name", "last_name", "timezone"), before, strict=False))
        assert sent(at) == [("GET", None), ("PUT", {**trio, "job_title": "Analyst", "team": None})]


async def test_an_update_with_all_three_reads_nothing() -> None:
    async with place() as at:
        found = await at.org.users.update(ALONE, first_name="Ada", last_name="Byron", timezone="Europe/London")
        assert (found.full_name, found.timezone) == ("Ada Byron", "Europe/London")
        assert [method for method, _ in sent(at)] == ["PUT"]


@pytest.mark.parametrize("value", [None, UNSET])
async def test_a_member_read_without_a_zone_is_not_updated(value: Any) -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="get_user", times=None, patch={"data": {"timezone": value}}))
        with pytest.raises(ConfigurationError, match=r"users\.update.*without timezone"):
            await at.org.users.update(ALONE, job_title="Analyst")
        assert at.sandbox.stats.by_operation["update_user"] == 0
        await at.org.users.update(ALONE, job_title="Analyst", timezone="Europe/London")
        assert at.tenant.members[ALONE].user.timezone == "Europe/London"


async def test_an_update_of_nothing_is_refused() -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await at.org.users.update(ALONE)
        with pytest.raises(ConfigurationError, match="'email'"):
            await at.org.users.update(ALONE, email="x@y.org")  # type: ignore[call-arg]
        assert at.sandbox.stats.requests == 0


async def test_a_member_of_two_organizations_changes_itself_only() -> None:
    async with place() as at:
        with pytest.raises(PermissionDeniedError):
            await at.org.users.update(1002, job_title="Analyst")


async def test_an_invitation_takes_a_seat_at_once() -> None:
    async with place(full_seats=6) as at:
        invited = await at.org.users.invite(**INVITATION)
        assert (invited.status, invited.email, invited.role) == ("invited", "ada@analysts.org", "standard")
        assert at.sandbox.world.mail[-1].to == "ada@analysts.org"
        with pytest.raises(SeatPoolExhaustedError) as caught:
            await at.org.users.invite(**{**INVITATION, "email": "grace@analysts.org"})
        assert caught.value.status == 409
        with pytest.raises(ValidationError) as taken:
            await at.org.users.invite(**INVITATION)
        assert set(taken.value.fields) == {"email"}


@pytest.mark.parametrize("lacking", ["message", "role", "last_name"])
async def test_an_invitation_needs_all_its_fields(lacking: str) -> None:
    async with place(runs=1, tasks=5) as at:
        fields = {name: value for name, value in INVITATION.items() if name != lacking}
        with pytest.raises(ConfigurationError, match=f"lacks {lacking}"):
            await at.org.users.invite(**fields)
        assert at.sandbox.stats.requests == 0


async def test_the_life_of_a_member() -> None:
    async with place() as at:
        with pytest.raises(BadRequestError, match="disable the user before deletion"):
            await at.org.users.delete(ALONE)
        assert (await at.org.users.disable(ALONE)).status == "disabled"
        assert (await at.org.users.enable(ALONE)).status == "active"
        assert (await at.org.users.remove(ALONE)).status == "disabled"
        gone = await at.org.users.delete(ALONE)
        assert (gone.last_name or "").endswith("(Deleted)")
        assert (gone.email or "").endswith(f".deleted.{ALONE}")
        with pytest.raises(NotFoundError):
            await at.org.users.get(ALONE)


async def test_the_last_administrator_stays() -> None:
    async with place() as at:
        with pytest.raises(BadRequestError, match="default administrator"):
            await at.org.users.disable(1001)


async def test_tasks_move_with_a_removal_only_when_asked() -> None:
    async with place() as at:
        mine = [task for task in at.tenant.tasks.values() if ALONE in task.users and task.is_open]
        assert mine
        await at.org.users.remove(ALONE)
        assert all(ALONE in task.users for task in mine)
        await at.org.users.enable(ALONE)
        await at.org.users.remove(ALONE, reassign_to=1001)
        assert all(ALONE not in task.users and 1001 in task.users for task in mine)
        assert dict(at.received[-1].query) == {"with_reassignment": "true", "to": "1001"}


async def test_the_heir_of_tasks_is_a_member_id() -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match=r"users\.remove: reassign_to must be int"):
            await at.org.users.remove(ALONE, reassign_to="1001")  # type: ignore[arg-type]
        assert at.sandbox.stats.requests == 0


async def test_a_request_to_join_is_accepted() -> None:
    async with place() as at:
        row = at.tenant.members[ALONE]
        row.status, row.approved = "invited", False
        assert (await at.org.users.approve(ALONE)).status == "active"
        assert row.approved


async def test_a_role_in_any_spelling() -> None:
    async with place(full_seats=5) as at:
        assert (await at.org.users.update_role(ALONE, "light")).role == "light"
        assert ((await at.org.users.get(ALONE)).role or "").casefold() == "light"
        await at.org.users.invite(**INVITATION)
        with pytest.raises(SeatPoolExhaustedError):
            await at.org.users.update_role(ALONE, "admin")
        with pytest.raises(ValidationError) as caught:
            await at.org.users.update_role(ALONE, "king")
        assert set(caught.value.fields) == {"role"}


async def test_a_member_becomes_a_guest_and_a_member_again() -> None:
    async with place() as at:
        email = at.tenant.members[ALONE].user.email
        await at.org.users.convert_to_guest(ALONE)
        assert at.tenant.members[ALONE].status == "disabled"
        assert (await at.org.guests.get(email)).email == email
        await at.org.guests.convert_to_member(email)
        assert at.tenant.members[ALONE].status == "active"
        assert await at.org.guests.find_by_email(email) is None


async def test_a_member_is_found_by_the_whole_address() -> None:
    async with place(users=30) as at:
        wanted = at.tenant.members[1013].user  # a disabled one
        found = await at.org.users.find_by_email(wanted.email.upper())
        assert (found and found.id, found and found.status) == (1013, "disabled")
        assert await at.org.users.find_by_email(wanted.email[1:]) is None
        assert await at.org.users.find_by_email("nobody+1@nowhere.org") is None
        assert at.received[-1].query["q"] == "nobody+1@nowhere.org"


async def test_the_short_list_has_everybody_on_one_page() -> None:
    async with place(users=30) as at:
        page = await at.org.users.list_minimal()
        assert {user.id for user in page} == set(at.tenant.members)
        assert not page.has_next
        assert dict(at.received[-1].query) == {}


async def test_the_tasks_of_a_member_with_the_completed_ones() -> None:
    async with place() as at:
        mine = {task.id for task in at.tenant.tasks.values() if ALONE in task.users and not task.archived_at}
        done = {task.id for task in at.tenant.tasks.values() if ALONE in task.users and task.status == "completed"}
        listed = [task.id async for task in at.org.users.tasks.list(ALONE, per_page=7)]
        assert done & mine <= set(listed) <= mine
        assert len(listed) == len(set(listed))
        assert at.received[0].query["status"] == "all"
        completed = {task.id async for task in at.org.users.tasks.list(ALONE, status="completed")}
        assert completed == done & mine


async def test_a_photo_is_sent_as_a_form() -> None:
    async with place(runs=1, tasks=5) as at:
        at.sandbox.faults.add(Fault(status=200, body={"data": {"id": ALONE, "profile_pic": "x.png"}}))
        with pytest.warns(UserWarning, match="inferred"):
            found = await at.org.users.upload_profile_pic(ALONE, b"\x89PNG", filename="ada.png")
        assert isinstance(found, User)
        assert found.profile_pic == "x.png"
        body = at.received[-1].body
        assert b'name="profile_pic"; filename="ada.png"' in body
        assert b"\x89PNG" in body
