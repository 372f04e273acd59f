from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tallyfy_async.sandbox.php_query import parse

from .steps import easy, launch, refused

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


async def search(api: Api, words: str, on: str = "process", **params: str) -> Any:
    more = "".join(f"&{name}={value}" for name, value in params.items())
    return await api.get(f"{{org}}/search?on={on}&search={quote(words)}{more}")


async def named(api: Api, filters: str, on: str = "process") -> set[str]:
    """Return the names that a search for `engine` finds under a filter in PHP's brackets."""
    query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, _, value in (part.partition(":") for part in filters.split("&") if part)
    )
    rows = (await api.get(f"{{org}}/search?on={on}&search=engine&per_page=100&{query}"))[on]["data"]
    return {row.get("name") or row["title"] for row in rows}


async def test_buckets_have_pages_of_their_own(api: Api) -> None:
    for number in range(3):
        await launch(api, name=f"Zebra {number}")
    found = await search(api, "zebra", "process,task,snippet", per_page="2")
    assert set(found) == {"process", "task", "snippet"}
    assert [row["name"] for row in found["process"]["data"]] == ["Zebra 0", "Zebra 1"]
    assert found["process"]["meta"]["pagination"]["total"] == 3
    assert found["task"]["meta"]["pagination"]["total"] == found["snippet"]["meta"]["pagination"]["total"] == 0
    second = await search(api, "zebra", per_page="2", page="2")
    assert [row["name"] for row in second["process"]["data"]] == ["Zebra 2"]


async def test_hits(api: Api) -> None:
    checklist = easy(api)
    run = await launch(api, name="Zebra")
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    assert (await search(api, "zebra"))["process"]["data"] == []
    await launch(api)
    title = checklist.steps[0].title
    found = await search(api, title.upper(), "task,step", tags="true")
    assert found["task"]["data"]
    assert all(row["title"] == title and "run_id" not in row for row in found["task"]["data"])
    assert "data" in found["task"]["data"][0]["tags"]
    assert checklist.steps[0].id in {row["id"] for row in found["step"]["data"]}
    rows = (await search(api, checklist.title, "blueprint"))["blueprint"]["data"]
    assert rows[0]["steps_count"] == len(checklist.steps)
    assert rows[0]["folders"][0]["name"] == "Operations" if checklist.folder_id else not rows[0]["folders"]
    label = next(f.label for s in checklist.steps for f in s.captures)
    assert (await search(api, label, "capture"))["capture"]["data"]


async def test_a_plus_is_a_plus(api: Api) -> None:
    await launch(api, name="Zebra one")
    assert (await api.get("{org}/search?on=process&search=zebra%20one"))["process"]["data"]
    assert not (await api.get("{org}/search?on=process&search=zebra+one"))["process"]["data"]


async def test_filters(api: Api) -> None:
    for name, starter in (("Engine A", 1001), ("Engine B", 1002), ("Engine C", 1002)):
        await launch(api, name=name, user_id=starter, summary=f"about {name}")
    assert await named(api, "") == {"Engine A", "Engine B", "Engine C"}
    one = "filter[type]:field&filter[field]:title&filter[operation]:=&filter[value]:engine b"
    assert await named(api, one) == {"Engine B"}
    assert await named(api, "filter[field]:title&filter[value]:Engine B") == {"Engine B"}
    assert await named(api, one.replace(":=", ":<>")) == {"Engine A", "Engine C"}
    assert await named(api, one.replace(":=", ":>")) == {"Engine C"}
    assert await named(api, "filter[field]:starter&filter[value]:1002") == {"Engine B", "Engine C"}
    assert await named(api, "filter[field]:description&filter[value]:about Engine A") == {"Engine A"}
    assert await named(api, "filter[field]:date&filter[operation]:<&filter[value]:2026-11-01") == set()
    group = (
        "filter[0][type]:boolean&filter[0][value]:{}&filter[1][field]:starter&filter[1][value]:1002"
        "&filter[2][field]:title&filter[2][value]:Engine A"
    )
    assert await named(api, group.format("OR")) == {"Engine A", "Engine B", "Engine C"}
    assert await named(api, group.format("AND")) == set()
    headless = "filter[0][field]:starter&filter[0][value]:1001&filter[1][field]:title&filter[1][value]:Engine B"
    assert await named(api, headless) == {"Engine A"}
    nested = (
        "filter[0][type]:boolean&filter[0][value]:AND&filter[1][field]:starter&filter[1][value]:1002"
        "&filter[2][0][type]:boolean&filter[2][0][value]:OR"
        "&filter[2][1][field]:title&filter[2][1][value]:Engine A"
        "&filter[2][2][field]:title&filter[2][2][value]:Engine C"
    )
    assert await named(api, nested) == {"Engine C"}


@pytest.mark.parametrize(
    "query",
    [
        "search=x",
        "on=process",
        "on=process&search=",
        "on=process,robot&search=x",
        "on=,&search=x",
        "on=process&search=x&filter=title",
        "on=process&search=x&filter[field]=colour",
        "on=task&search=x&filter[field]=date&filter[value]=2026-01-01",
        "on=process&search=x&filter[field]=title&filter[operation]=like",
        "on=process&search=x&filter[field]=date&filter[value]=soon",
        "on=process&search=x&filter[field]=title&filter[value][]=a",
        "on=process&search=x&filter[type]=robot&filter[field]=title",
        "on=process&search=x&filter[0]=a",
        "on=process&search=x&filter[0][type]=boolean&filter[0][value]=XOR",
        "on=process&search=x&filter[field][a]=b",
    ],
)
async def test_refused(api: Api, query: str) -> None:
    await refused(api, "GET", f"{{org}}/search?{query}", None)


async def test_an_unknown_field_is_told_the_allowed_ones(api: Api) -> None:
    errors = await refused(api, "GET", "{org}/search?on=task&search=x&filter[field]=colour", None)
    assert errors["filter"] == ["The field is invalid. Allowed fields: starter, title."]


def test_queries_as_php_reads_them() -> None:
    assert parse("a=1&b[c]=2&b[d][]=3&b[d][]=4") == {"a": "1", "b": {"c": "2", "d": {"0": "3", "1": "4"}}}
    assert parse("a[b]=1&a=2") == {"a": "2"}
    assert parse("a=1&a[b]=2") == {"a": {"b": "2"}}
    assert parse("a%5Bb%5D=1%202&c=x+y") == {"a": {"b": "1 2"}, "c": "x+y"}
    assert parse("[x]=1&a]b=2&a" + "[x]" * 50 + "=3") == {"[x]": "1", "a]b": "2"}
