from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError, NotFoundError, ValidationError
from tallyfy_async.models.groups import Group
from tallyfy_async.protocol.converter import structure
from tallyfy_async.sandbox import UNSET, Fault
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
GUEST = "guest1@partner.org"


async def group(at: Place) -> Group:
    return await at.org.groups.create(name="Analysts", description="They analyse", members=[1001, 1004], guests=[GUEST])


@pytest.mark.parametrize("missing", ["empty", "keep"])
async def test_an_update_keeps_members_and_guests(missing: str) -> None:
    async with place(group_missing=missing) as at:
        made = await group(at)
        changed = await at.org.groups.update(made.id, description="They analyse much")
        row = at.tenant.groups[made.id]
        assert (row.name, row.members, row.guests) == ("Analysts", [1001, 1004], [GUEST])
        assert (row.description, changed.description) == ("They analyse much", "They analyse much")
        assert (changed.members, changed.guest_emails) == ((1001, 1004), (GUEST,))


async def test_one_list_given_keeps_the_other_one() -> None:
    async with place() as at:
        made = await group(at)
        await at.org.groups.update(made.id, members=[1001])
        row = at.tenant.groups[made.id]
        assert (row.members, row.guests) == ([1001], [GUEST])
        assert at.bodies()[-1] == {"name": "Analysts", "members": [1001], "guests": [GUEST]}


async def test_a_replacement_reads_nothing_and_keeps_the_description() -> None:
    async with place() as at:
        made = await group(at)
        await at.org.groups.replace(made.id, name="Engineers", members=[1004], guests=[])
        row = at.tenant.groups[made.id]
        assert (row.name, row.description, row.members, row.guests) == ("Engineers", "They analyse", [1004], [])
        assert [request.method for request in at.received] == ["POST", "PUT"]


async def test_a_replacement_needs_both_lists() -> None:
    async with place(runs=1, tasks=5) as at:
        groups: Any = at.org.groups
        with pytest.raises(ConfigurationError, match="lacks guests, members"):
            await groups.replace("a" * 32, name="Engineers")
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await groups.update("a" * 32)
        with pytest.raises(ConfigurationError, match="'users'"):
            await groups.update("a" * 32, users=[1])
        with pytest.raises(ConfigurationError, match="lacks description"):
            await groups.create(name="Analysts")
        assert at.sandbox.stats.requests == 0


@pytest.mark.parametrize("lacking", ["members", "guests"])
async def test_a_group_read_without_a_list_is_not_updated(lacking: str) -> None:
    async with place() as at:
        made = await group(at)
        at.sandbox.faults.add(Fault(operation="get_group", patch={"data": {lacking: UNSET}}))
        with pytest.raises(ConfigurationError, match=f"without {lacking}"):
            await at.org.groups.update(made.id, name="Engineers")
        assert at.tenant.groups[made.id].name == "Analysts"


async def test_names_are_unique_and_descriptions_are_not_empty() -> None:
    async with place() as at:
        made = await group(at)
        with pytest.raises(ValidationError) as taken:
            await group(at)
        assert set(taken.value.fields) == {"name"}
        with pytest.raises(ValidationError) as empty:
            await at.org.groups.update(made.id, description="")
        assert set(empty.value.fields) == {"description"}


async def test_a_group_is_found_by_its_exact_name() -> None:
    async with place() as at:
        await at.org.groups.create(name="Analysts of Engines", description="Analysts")
        made = await group(at)
        assert (await at.org.groups.find_by_name("Analysts")) == await at.org.groups.get(made.id)
        assert await at.org.groups.find_by_name("analysts") is None
        assert await at.org.groups.find_by_name("Analyst") is None


async def test_a_group_beyond_the_first_page_is_found() -> None:
    async with place(page_sizes={"list_groups": (10, 10)}) as at:
        for number in range(25):
            await at.org.groups.create(name=f"Analysts {number}", description="Analysts 2")
        found = await at.org.groups.find_by_name("Analysts 2")
        assert found is not None
        assert found.name == "Analysts 2"


async def test_a_deleted_group_is_gone() -> None:
    async with place() as at:
        made = await group(at)
        await at.org.groups.delete(made.id)
        with pytest.raises(NotFoundError):
            await at.org.groups.get(made.id)


@pytest.mark.parametrize(
    ("guests", "emails"),
    [
        ([], ()),
        (["a@b.org"], ("a@b.org",)),
        ({"data": [{"email": "a@b.org", "id": 4}]}, ("a@b.org",)),
        ([{"id": 4}], None),
        (None, None),
    ],
)
def test_guests_of_a_group_in_every_shape(guests: Any, emails: tuple[str, ...] | None) -> None:
    read = structure({"id": "a", "name": "b", "guests": guests, "members": ["1001", 1002]}, Group)
    assert read.guest_emails == emails
    assert read.members == (1001, 1002)
