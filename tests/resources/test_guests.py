from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import (
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestOptions,
    ValidationError,
)
from tallyfy_async.models.guests import Guest, GuestSummary
from tests.resources.place import place

pytestmark = pytest.mark.anyio
GUEST = "guest1@partner.org"


async def test_what_the_server_would_drop_is_refused() -> None:
    async with place(runs=1, tasks=5) as at:
        guests: Any = at.org.guests
        with pytest.raises(ConfigurationError, match=r"'phone': did you mean 'phone_[12]'"):
            await guests.create(email="grace@visitors.org", phone="+1")
        with pytest.raises(ConfigurationError, match="lacks email"):
            await guests.create(first_name="Grace")
        for lost in ("first_name", "phone_1", "company_name"):
            with pytest.raises(ConfigurationError, match=f"does not know '{lost}'"):
                await guests.update(GUEST, associated_members=[1001], **{lost: "x"})
        with pytest.raises(ConfigurationError, match="lacks associated_members"):
            await guests.update(GUEST)
        assert at.sandbox.stats.requests == 0


async def test_a_guest_is_added_with_details() -> None:
    async with place() as at:
        made = await at.org.guests.create(
            email="grace@visitors.org", first_name="Grace", phone_1="+1-212-555-0123", company_name="Visitors"
        )
        found = await at.org.guests.get("grace@visitors.org")
        assert found.to_dict() == {**made.to_dict(), "created_at": found.to_dict()["created_at"]}
        assert (made.created_at, made.code) == (found.created_at, at.tenant.guests["grace@visitors.org"].code)
        assert found.details is not None
        assert (found.details.phone_1, found.details.company_name) == ("+1-212-555-0123", "Visitors")


async def test_members_and_own_addresses_are_no_guests() -> None:
    async with place() as at:
        with pytest.raises(ValidationError) as caught:
            await at.org.guests.create(email=at.tenant.members[1002].user.email)
        assert set(caught.value.fields) == {"email"}


async def test_the_hourly_cap_of_guests() -> None:
    once = RequestOptions(retry=0)
    async with place(guest_invites_per_hour=1) as at:
        await at.org.guests.create(email="grace@visitors.org")
        with pytest.raises(RateLimitError, match="Guest Invite") as caught:
            await at.org.guests.create(email="jean@visitors.org", options=once)
        assert caught.value.code == "RATE_LIMIT_EXCEEDED"


async def test_an_update_replaces_the_associated_members() -> None:
    async with place() as at:
        first = await at.org.guests.update(GUEST, associated_members=[1001, 1004])
        assert first.details is not None
        assert first.details.associated_members == (1001, 1004)
        second = await at.org.guests.update(GUEST, associated_members=())
        assert second.details is not None
        assert second.details.associated_members in ((), None)
        assert at.bodies() == [{"associated_members": [1001, 1004]}, {"associated_members": []}]


@pytest.mark.parametrize(("style", "kind"), [("404", NotFoundError), ("422", ValidationError)])
async def test_an_unknown_guest(style: str, kind: type[Exception]) -> None:
    async with place(unknown_guest_update=style) as at:
        nobody = "nobody@visitors.org"
        with pytest.raises(NotFoundError):
            await at.org.guests.get(nobody)
        with pytest.raises(ValidationError):
            await at.org.guests.delete(nobody)
        with pytest.raises(kind):
            await at.org.guests.update(nobody, associated_members=[])
        assert await at.org.guests.find_by_email(nobody) is None


@pytest.mark.parametrize("status", [200, 201])
async def test_a_guest_is_found_by_address(status: int) -> None:
    async with place(guest_read_status=status) as at:
        found = await at.org.guests.find_by_email(GUEST)
        assert found is not None
        assert found.email == GUEST
        assert at.received[-1].path.endswith("/guests/guest1%40partner.org") or GUEST in at.received[-1].path


async def test_a_guest_with_open_tasks_is_not_disabled() -> None:
    async with place() as at:
        await at.org.guests.create(email="grace@visitors.org")
        task = at.oneoff()
        task.guests.append("grace@visitors.org")
        with pytest.raises(PermissionDeniedError, match="incomplete tasks"):
            await at.org.guests.disable("grace@visitors.org")
        task.guests.remove("grace@visitors.org")
        await at.org.guests.disable("grace@visitors.org")
        details = (await at.org.guests.get("grace@visitors.org")).details
        assert details is not None
        assert details.disabled_at is not None
        assert details.disabled_by == 1001
        await at.org.guests.enable("grace@visitors.org")
        details = (await at.org.guests.get("grace@visitors.org")).details
        assert details is not None
        assert details.reactivated_at is not None


async def test_a_deleted_guest_leaves_its_tasks() -> None:
    async with place() as at:
        task = at.oneoff()
        task.guests.append(GUEST)
        assert (await at.org.guests.delete(GUEST)).email == GUEST
        assert GUEST not in task.guests
        assert GUEST not in at.tenant.guests


async def test_the_tasks_of_a_guest_come_ten_a_page() -> None:
    async with place() as at:
        tasks = [task for task in at.tenant.tasks.values() if not task.archived_at][:25]
        for task in at.tenant.tasks.values():
            task.guests = [GUEST] if task in tasks else []
        code = (await at.org.guests.get(GUEST)).code or ""
        pager = at.org.guests.tasks.list(code, per_page=100)
        assert len(await pager) == 10
        assert {task.id async for task in pager} == {task.id for task in tasks}
        assert at.received[-1].query["status"] == "all"
        done = {task.id async for task in at.org.guests.tasks.list(code, status="completed")}
        assert done == {task.id for task in tasks if task.status == "completed"}
        with pytest.raises(NotFoundError):
            await at.org.guests.tasks.list(GUEST)


async def test_lists_of_guests() -> None:
    async with place() as at:
        assert {guest.email async for guest in at.org.guests.list(per_page=1)} == set(at.tenant.guests)
        assert [guest.email async for guest in at.org.guests.list(q="partner")] == [GUEST]
        page = await at.org.guests.list_minimal()
        assert {guest.email for guest in page} == set(at.tenant.guests)
        with_stats = (await at.org.guests.list(with_=["stats"]))[0]
        assert with_stats.stats is not None
        assert (await at.org.guests.get(GUEST)).stats is None


@pytest.mark.parametrize(
    ("link", "code"),
    [
        (
            "https://go.tallyfy.com/guest/MITxZa1z2f5d81bb53f1da7c7fa95a2cfec5cbc2",
            "MITxZa1z2f5d81bb53f1da7c7fa95a2cfec5cbc2",
        ),
        ("https://go.tallyfy.com/guest/abc/?org=1#x", "abc"),
        ("https://go.tallyfy.com/login", None),
        ("", None),
        (None, None),
    ],
)
def test_the_code_is_the_end_of_the_link(link: str | None, code: str | None) -> None:
    assert Guest(email="a@b.org", link=link).code == code
    assert GuestSummary(email="a@b.org", link=link).code == code


async def test_the_page_behind_a_guest_link_takes_answers_by_field_id() -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match="is no field id"):
            await at.org.guests.tasks.update_by_code("abc", taskdata={"Notes": "x"})
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await at.org.guests.tasks.update_by_code("abc")
        assert at.sandbox.stats.requests == 0
