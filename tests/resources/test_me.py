from __future__ import annotations

import traceback
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, NotFoundError, ValidationError
from tallyfy_async.sandbox import Fault
from tests.resources.place import place

pytestmark = pytest.mark.anyio
silent = pytest.mark.filterwarnings("ignore::tallyfy_async.UnverifiedEndpointWarning")


async def test_who_one_is_here() -> None:
    async with place() as at:
        mine = await at.org.me.get(with_=["groups"])
        assert (mine.id, (mine.role or "").casefold()) == (1001, "admin")
        assert mine.groups is not None
        role = await at.org.me.role()
        assert (role.name or "").casefold() == "admin"
        assert role.permissions


async def test_an_update_sends_the_names_and_the_zone_again() -> None:
    async with place() as at:
        user = at.tenant.members[1001].user
        before = (user.first_name, user.last_name, user.timezone)
        await at.org.me.update(phone="+44 20 7946 0000")
        assert (user.first_name, user.last_name, user.timezone) == before
        assert user.phone == "+44 20 7946 0000"
        assert [request.method for request in at.received] == ["GET", "PUT"]
        await at.org.me.update(first_name="Ada", last_name="Byron", timezone="Europe/London")
        assert [request.method for request in at.received] == ["GET", "PUT", "PUT"]


async def test_preferences_are_kept_by_their_names() -> None:
    async with place() as at:
        kept = await at.org.me.preferences.set(slug="home_count", value="12", metadata={"extra": "here"})
        assert (kept.slug, kept.value, kept.metadata) == ("home_count", "12", {"extra": "here"})
        listed = {one.slug: one.value for one in await at.org.me.preferences.list()}
        assert listed["home_count"] == "12"
        with pytest.raises(ConfigurationError, match="value must be str, not int"):
            await at.org.me.preferences.set(slug="home_count", value=12)  # type: ignore[arg-type]
        assert at.sandbox.stats.by_operation["set_my_preference"] == 1


async def test_the_life_of_a_view() -> None:
    async with place() as at:
        views = at.org.me.process_views
        made = await views.create(name="Mine", filter_type="any", is_active=True, criteria=[{"status": "active"}, "x"])
        assert await views.get(made.id) == made
        assert made.id in [view.id for view in await views.list()]
        changed = await views.update(made.id, name="Ours", is_active=False)
        assert (changed.name, changed.is_active, changed.criteria) == ("Ours", False, ({"status": "active"}, "x"))
        with pytest.warns(UserWarning, match="inferred"):
            await views.delete(made.id)
        with pytest.raises(NotFoundError):
            await views.get(made.id)
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await views.update(made.id)


async def test_a_view_s_flag_is_a_number_in_replies() -> None:
    async with place(runs=1, tasks=5) as at:
        body = {"data": [{"id": 3, "name": "x", "is_active": 1, "filter_type": "any", "criteria": []}]}
        at.sandbox.faults.add(Fault(operation="list_process_views", body=body))
        (view,) = await at.org.me.process_views.list()
        assert (view.id, view.is_active) == ("3", True)


@silent
async def test_completed_tasks_are_asked_for_by_their_old_path() -> None:
    async with place(runs=1, tasks=5) as at:
        body = {"data": [{"id": "a" * 32, "title": "x", "status": "completed"}]}
        at.sandbox.faults.add(Fault(body=body), Fault(body=body))
        assert [task.title for task in await at.org.me.tasks.list_completed()] == ["x"]
        assert [task.title for task in await at.org.users.tasks.list_completed(1004)] == ["x"]
        paths = [request.path for request in at.received]
        assert paths[0].endswith("/me/tasks/completed")
        assert paths[1].endswith("/users/1004/tasks/completed")


@silent
async def test_roles_are_kept_whole_by_an_update() -> None:
    async with place() as at:
        roles: Any = at.org.roles
        made = await roles.create(name="clerk", permissions=["view_reports", "edit_reports"])
        assert set(made.permissions or {}) == {"view_reports", "edit_reports"}
        await roles.update(made.id, name="reader")
        row = at.tenant.roles[made.id]
        assert (row.name, row.permissions) == ("reader", ["view_reports", "edit_reports"])
        await roles.update(made.id, permissions=[])
        assert (row.name, row.permissions) == ("reader", [])
        assert made.id in [role.id for role in await roles.list()]
        await roles.delete(made.id)
        with pytest.raises(NotFoundError):
            await roles.get(made.id)
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await roles.update(made.id)


async def test_a_role_read_without_permissions_is_not_updated() -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="get_role", body={"data": {"id": 4, "name": "auditor"}}))
        with (
            pytest.warns(UserWarning, match="inferred"),
            pytest.raises(ConfigurationError, match="without permissions"),
        ):
            await at.org.roles.update(4, name="reader")
        assert at.tenant.roles[4].name == "auditor"


@silent
async def test_a_new_password_travels_in_the_body_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with place(runs=1, tasks=5) as at:
        fields: Any = {"code": "c0de", "password": "Engine1843", "password_confirmation": "Engine1843"}
        at.sandbox.faults.add(Fault(status=422, body={"error": True, "errors": {"plan": ["It is over."]}, **fields}))
        with pytest.raises(ValidationError) as caught:
            await at.tallyfy.accounts.reset_password(**fields)
        assert at.bodies()[-1] == fields
        assert caught.value.fields == {"plan": ["It is over."]}
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.body) + caplog.text
        assert "Engine1843" not in shown


async def test_a_link_for_a_new_password_is_mailed() -> None:
    async with place() as at:
        email = at.tenant.members[1004].user.email
        with pytest.warns(UserWarning, match="inferred"):
            await at.tallyfy.accounts.recover_password(email)
        assert at.sandbox.world.mail[-1].to == email
