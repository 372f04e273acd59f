from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

import pytest

from tallyfy_async import ConfigurationError, DecodeError
from tallyfy_async.models.search import Where, WhereGroup
from tallyfy_async.protocol.converter import unstructure
from tallyfy_async.protocol.operation import encode_query
from tallyfy_async.sandbox import Fault
from tests.contract.document import contract
from tests.models.test_payloads import same
from tests.resources.place import place

pytestmark = pytest.mark.anyio
TITLE = Where("title", "=", "Foo Bar")


def encoded(where: Where | WhereGroup) -> list[str]:
    return unquote(encode_query({"filter": where.as_query()})).split("&")


def test_one_condition_in_php_s_brackets() -> None:
    assert encoded(TITLE) == [
        "filter[type]=field",
        "filter[field]=title",
        "filter[operation]==",
        "filter[value]=Foo Bar",
    ]
    assert "filter%5Bvalue%5D=Foo%20Bar" in encode_query({"filter": TITLE.as_query()})


def test_a_group_begins_with_its_operator() -> None:
    both = TITLE & Where("starter", "<>", 7) & Where("date", ">=", date(2026, 1, 31))
    assert [part for part in encoded(both) if "value" in part or "[type]" in part] == [
        "filter[0][type]=boolean",
        "filter[0][value]=AND",
        "filter[1][type]=field",
        "filter[1][value]=Foo Bar",
        "filter[2][type]=field",
        "filter[2][value]=7",
        "filter[3][type]=field",
        "filter[3][value]=2026-01-31",
    ]


def test_groups_nest() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    either = TITLE & (Where("starter", "=", 7) | Where("date", "<", moment))
    assert [part for part in encoded(either) if "value" in part] == [
        "filter[0][value]=AND",
        "filter[1][value]=Foo Bar",
        "filter[2][0][value]=OR",
        "filter[2][1][value]=7",
        "filter[2][2][value]=2026-01-31 12:00:00",
    ]
    assert (either | TITLE).operator == "OR"
    assert len((either | TITLE | TITLE).parts) == 3


@pytest.mark.parametrize("given", [("title", "==", "x"), ("", "=", "x"), (7, "=", "x"), ("title", "=", None)])
def test_wrong_conditions_are_told_at_once(given: Any) -> None:
    with pytest.raises(ConfigurationError):
        Where(*given)


async def test_every_kind_comes_in_a_bucket_of_its_own() -> None:
    async with place() as at:
        row, run = at.checklist(), at.run()
        run.name, row.title = "Zebra run", "Zebra template"
        found = await at.org.search.query("zebra", on=["process", "blueprint", "task"])
        assert [(hit.id, hit.name) for hit in found.process] == [(run.id, "Zebra run")]
        assert [(hit.id, hit.title) for hit in found.blueprint] == [(row.id, "Zebra template")]
        assert (len(found.task), len(found.snippet), found.snippet.has_next) == (0, 0, False)
        assert len(at.received) == 1


async def test_each_bucket_has_its_own_next_page() -> None:
    async with place() as at:
        for run in list(at.tenant.runs.values())[:3]:
            run.name, run.archived_at = f"Zebra {run.id}", None
        found = await at.org.search.query("zebra", on=["process", "blueprint"], per_page=2)
        assert (len(found.process), found.process.total, found.process.has_next) == (2, 3, True)
        following = await found.process.next()
        assert (len(following), following.has_next) == (1, False)
        assert at.received[-1].query["on"] == "process"
        assert len({hit.id for hit in (*found.process, *following)}) == 3


async def test_one_kind_is_walked_page_by_page() -> None:
    async with place() as at:
        for run in list(at.tenant.runs.values())[:5]:
            run.name, run.archived_at = f"Zebra {run.id}", None
        walked = [hit.id async for hit in at.org.search.list("zebra", "process", per_page=2)]
        assert (len(walked), len(set(walked)), len(at.received)) == (5, 5, 3)


async def test_a_filter_reaches_the_server() -> None:
    async with place() as at:
        runs = list(at.tenant.runs.values())[:2]
        for number, run in enumerate(runs):
            run.name, run.archived_at = f"Zebra {number}", None
        narrow = at.org.search.list("zebra", "process", where=Where("title", "=", "Zebra 1"))
        assert [hit.id for hit in await narrow] == [runs[1].id]
        either = Where("title", "=", "Zebra 1") | Where("title", "=", "Zebra 0")
        assert len(await at.org.search.list("zebra", "process", where=either)) == 2


@pytest.mark.parametrize("nothing", [[], {}])
async def test_nothing_found_may_come_as_an_empty_list(nothing: Any) -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="search", body=nothing, times=2))
        found = await at.org.search.query("zebra")
        assert (len(found.process), len(found.task)) == (0, 0)
        assert await at.org.search.list("zebra", "task").collect() == []


async def test_a_bucket_that_goes_missing_in_a_walk_is_an_error() -> None:
    async with place() as at:
        for run in list(at.tenant.runs.values())[:3]:
            run.name, run.archived_at = f"Zebra {run.id}", None
        at.sandbox.faults.add(Fault(operation="search", body={}, after=1))
        with pytest.raises(DecodeError, match="process"):
            await at.org.search.list("zebra", "process", per_page=2).collect()


async def test_the_published_example_comes_through_whole() -> None:
    example = contract()["components"]["schemas"]["SearchResponse"]["example"]
    example = {**example, "agent": {"data": [{"id": "x"}]}}
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="search", body=example))
        found = await at.org.search.query("onboarding")
        assert same(example["process"]["data"], [unstructure(hit) for hit in found.process])
        assert found.process[0].increment_id == 5012
        assert found.extra == {"agent": ({"id": "x"},)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": ""}, "the text is empty"),
        ({"text": " "}, "the text is empty"),
        ({"text": None}, "lacks search"),
        ({"text": 7}, "must be str"),
        ({"on": ["template"]}, "did you mean 'blueprint'"),
        ({"on": "run"}, "did you mean 'process'"),
        ({"on": ["taks"]}, "did you mean 'task'"),
        ({"on": ["xyz"]}, "known are"),
        ({"on": []}, "on is empty"),
        ({"on": 7}, "must be a list"),
        ({"per_page": 101}, "from 1 to 100"),
        ({"per_page": 0}, "from 1 to 100"),
        ({"per_page": "5"}, "must be int"),
        ({"tags": "yes"}, "must be bool"),
        ({"where": "title=x"}, "must be a condition"),
    ],
)
async def test_wrong_searches_are_told_before_anything_is_sent(given: Any, message: str) -> None:
    async with place() as at:
        search: Any = at.org.search
        with pytest.raises(ConfigurationError, match=message):
            await search.query(**{"text": "zebra", **given})
        if given.get("on", "x") != []:
            with pytest.raises(ConfigurationError, match=message):
                search.list(**{"text": "zebra", "on": "process", **given})
        assert not at.received


async def test_an_unknown_argument_of_a_walk_is_told() -> None:
    async with place() as at:
        search: Any = at.org.search
        with pytest.raises(TypeError, match="limit"):
            search.list("zebra", "process", limit=5)
