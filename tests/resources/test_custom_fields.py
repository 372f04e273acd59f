from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, DecodeError, NotFoundError, PermissionDeniedError, ValidationError
from tallyfy_async.sandbox import Fault
from tests.resources.place import place

pytestmark = pytest.mark.anyio


async def test_values_are_replaced_whole_and_set_one_by_one() -> None:
    async with place() as at:
        run = at.run()
        fields = at.org.runs.custom_fields
        assert await fields.replace(run.id, {"cost_center": "CC-1", "budget": 7}) == {
            "cost_center": "CC-1",
            "budget": 7,
        }
        assert await fields.set(run.id, "budget", 8) == {"cost_center": "CC-1", "budget": 8}
        assert (await at.org.runs.get(run.id)).custom_fields == {"cost_center": "CC-1", "budget": 8}
        assert await fields.replace(run.id, {"budget": 9}) == {"budget": 9}
        await fields.delete(run.id, "budget")
        assert (await at.org.runs.get(run.id)).custom_fields in ({}, None)
        assert await fields.replace(run.id, {}) == {}


async def test_members_and_guests_have_a_read_of_their_own() -> None:
    async with place() as at:
        await at.org.users.custom_fields.set(1004, "badge_number", "B-7")
        assert await at.org.users.custom_fields.get(1004) == {"badge_number": "B-7"}
        guest = await at.org.guests.get("guest1@partner.org")
        assert guest.code is not None
        await at.org.guests.custom_fields.replace(guest.code, {"account_manager": "ada@analysts.org"})
        assert await at.org.guests.custom_fields.get(guest.code) == {"account_manager": "ada@analysts.org"}
        with pytest.raises(NotFoundError):
            await at.org.guests.custom_fields.get(guest.email)


async def test_what_the_server_refuses() -> None:
    async with place() as at:
        run, fields = at.run(), at.org.runs.custom_fields
        with pytest.raises(ValidationError) as unknown:
            await fields.replace(run.id, {"colour": "red", "budget": "much"})
        assert set(unknown.value.fields) == {"custom_fields.colour", "custom_fields.budget"}
        with pytest.raises(PermissionDeniedError):
            await fields.delete(run.id, "origin")
        await at.org.custom_fields.create(key="owner", applies_to="process", field_type="text", is_required=True)
        with pytest.raises(ValidationError) as lacking:
            await fields.replace(run.id, {})
        assert set(lacking.value.fields) == {"custom_fields.owner"}


async def test_definitions_are_listed_and_made() -> None:
    async with place() as at:
        made = await at.org.custom_fields.create(
            key="colour", applies_to="process", field_type="dropdown", more={"options": ["red", "blue"], "key": "hue"}
        )
        assert (made.key, made.field_type, made.is_active) == ("colour", "dropdown", True)
        assert at.bodies()[-1]["options"] == ["red", "blue"]
        keys = {row.key async for row in at.org.custom_fields.list(applies_to="process", key_type="org")}
        assert keys == {"cost_center", "budget", "colour"}
        with pytest.raises(ValidationError) as taken:
            await at.org.custom_fields.create(key="colour", applies_to="process", field_type="text")
        assert set(taken.value.fields) == {"key"}
        with pytest.raises(ConfigurationError, match="did you mean 'field_type'"):
            await at.org.custom_fields.create(key="x", applies_to="process", type="text")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"data": {"custom_fields": {"a": 1}}}, {"a": 1}),
        ({"data": {"a": 1, "b": None}}, {"a": 1, "b": None}),
        ({"data": {"custom_fields": []}}, {}),
        ({"data": {"custom_fields": None}}, {}),
        ({"data": {"id": "x", "name": "y", "custom_fields": {"a": 1}}}, {"a": 1}),
        ({"data": []}, {}),
        ({"data": None}, {}),
        ({"a": 1}, {"a": 1}),
        ([], {}),
    ],
)
async def test_values_come_in_any_envelope(body: Any, values: dict[str, Any]) -> None:
    async with place(runs=1, tasks=5) as at:
        at.sandbox.faults.add(Fault(operation="get_user_custom_fields", body=body))
        assert await at.org.users.custom_fields.get(1004) == values


@pytest.mark.parametrize(
    ("body", "path"),
    [({"data": "x"}, "data"), ({"data": {"custom_fields": "x"}}, "data.custom_fields"), ('"x"', "body"), ([1], "body")],
)
async def test_values_that_are_no_object_are_a_decode_error(body: Any, path: str) -> None:
    async with place(runs=1, tasks=5) as at:
        at.sandbox.faults.add(Fault(operation="get_user_custom_fields", body=body))
        with pytest.raises(DecodeError) as caught:
            await at.org.users.custom_fields.get(1004)
        assert caught.value.path == path


async def test_values_go_out_as_the_api_writes_them() -> None:
    async with place() as at:
        await at.org.custom_fields.create(key="since", applies_to="process", field_type="date")
        run = at.run()
        await at.org.runs.custom_fields.set(run.id, "since", datetime(2026, 12, 1, 9, 30, tzinfo=UTC))
        assert at.bodies()[-1] == {"value": "2026-12-01 09:30:00"}


async def test_wrong_values_are_not_sent() -> None:
    async with place(runs=1, tasks=5) as at:
        fields: Any = at.org.tags.custom_fields
        with pytest.raises(ConfigurationError, match=r"tags\.custom_fields\.replace: custom_fields must be a mapping"):
            await fields.replace("a" * 32, ["x"])
        with pytest.raises(ConfigurationError, match=r"tags\.custom_fields\.set: value"):
            await fields.set("a" * 32, "x", object())
        with pytest.raises(ConfigurationError, match="key must"):
            await fields.delete("a" * 32, "")
        assert at.sandbox.stats.requests == 0
