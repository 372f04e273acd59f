from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError
from tallyfy_async.sandbox import Fault
from tests.resources.place import place

pytestmark = pytest.mark.anyio
URL = "https://hooks.tallyfy.test/tallyfy"


async def test_changing_an_organization_sends_its_name_along() -> None:
    async with place() as at:
        details = at.org
        name = (await details.get()).name
        changed = await details.update(city="Berlin")
        assert (changed.name, changed.city) == (name, "Berlin")
        assert at.bodies()[-1] == {"name": name, "city": "Berlin"}
        await details.update(name="Acme", description="x")
        assert [request.method for request in at.received] == ["GET", "GET", "PUT", "PUT"]
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await details.update()


async def test_watchers_may_come_as_a_bare_list() -> None:
    async with place() as at:
        me = await at.tallyfy.me.get()
        made = await at.org.webhooks.add_watcher(me.id, webhook=URL)
        assert made.address == URL
        rows = [one.to_dict() for one in await at.org.webhooks.list_watchers()]
        at.sandbox.faults.add(Fault(operation="list_watchers", body=rows))
        bare = await at.org.webhooks.list_watchers(notification="webhook").collect()
        assert [one.address for one in bare] == [URL]
        await at.org.webhooks.remove_watcher(str(made.id))
        assert await at.org.webhooks.list_watchers().collect() == []


@pytest.mark.parametrize("body", [b"", [], {"message": "Created"}, {"data": {"url": URL}}])
async def test_a_subscription_whose_id_is_not_told_is_no_error(body: Any) -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="add_watcher", status=201, body=body))
        made = await at.org.webhooks.add_watcher(1001, webhook=URL)
        assert made.id is None


async def test_wrong_arguments_of_watchers_are_told_before_anything_is_sent() -> None:
    async with place() as at:
        webhooks: Any = at.org.webhooks
        with pytest.raises(ConfigurationError, match="must be str"):
            await webhooks.add_watcher(1001, webhook=7)
        with pytest.raises(ConfigurationError, match="user_id"):
            await webhooks.add_watcher(None, webhook=URL)
        with pytest.raises(ConfigurationError, match="must be str"):
            webhooks.list_watchers(notification=7)
        assert not at.received


@pytest.mark.parametrize("given", [{"entity_id": "x"}, {"entity_type": "run"}, {"origin_id": "x"}])
async def test_an_id_goes_with_its_type(given: Any) -> None:
    async with place() as at:
        with pytest.raises(ConfigurationError, match="goes with"):
            at.org.activity.list(**given)


async def test_the_feed_tells_what_happened() -> None:
    async with place() as at:
        row = at.checklist()
        await at.org.checklists.update(row.id, title="Bills")
        feed = await at.org.activity.list(entity_type="checklist", entity_id=row.id, sort="-created_at")
        assert feed[0].verb == ("updated",)
        assert feed[0].auditable_id == row.id
        assert feed[0].actor is not None


async def test_small_services_answer_in_plain_json() -> None:
    async with place() as at:
        utils = at.tallyfy.utils
        assert isinstance(await utils.config(), dict)
        assert isinstance(await utils.check_url("https://go.tallyfy.com/a?b=c"), dict)
        assert isinstance(await utils.support_token(), dict)
        countries = await utils.list_countries().collect()
        assert "US" in [one.iso2 for one in countries]
        at.sandbox.faults.add(Fault(operation="get_config", body=[]))
        assert await utils.config() == {}
        at.sandbox.faults.add(Fault(operation="get_config", body=b""))
        assert await utils.config() == {}
        with pytest.raises(ConfigurationError):
            await utils.check_url(None)  # type: ignore[arg-type]
