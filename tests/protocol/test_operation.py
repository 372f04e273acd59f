from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import ConfigurationError
from tallyfy_async.protocol.operation import Operation, Safety, encode_query

GET_TASK = Operation(
    id="get_run_task",
    method="GET",
    path="/organizations/{org}/runs/{run_id}/tasks/{task_id}",
    scopes="process",
    call="org.runs.tasks.get",
)
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
SEGMENTS = st.text(min_size=1).filter(lambda text: text.strip() not in {"", ".", ".."})
# A bracket inside a name means nesting, so names are free of them; PHP reads dots and blanks in names as underscores.
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
SCALARS = st.one_of(st.text(max_size=12), st.integers(), st.booleans())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
)


def php_pairs(encoded: str) -> list[tuple[str, str]]:
    """Split a query string as the server does, for which + is a plus."""
    pairs = [part.partition("=") for part in encoded.split("&")]
    return [(unquote(name, errors="strict"), unquote(value, errors="strict")) for name, _, value in pairs]


def php_tree(encoded: str) -> dict[str, Any]:
    """Read bracket keys as PHP's parse_str does; every array becomes a dict with text keys."""
    tree: dict[str, Any] = {}
    for name, value in php_pairs(encoded):
        head, _, rest = name.partition("[")
        keys = [head, *rest.removesuffix("]").split("][")] if rest else [head]
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key or str(len(node)), {})
        node[keys[-1] or str(len(node))] = value
    return tree


def expected(value: Any) -> Any:
    """Return what PHP holds after reading ``value``."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return {name: expected(inner) for name, inner in value.items()}
        case list():
            return {str(position): expected(inner) for position, inner in enumerate(value)}
        case _:
            return str(value)


def test_a_url_is_the_template_with_its_values() -> None:
    values = {"org": "a1" * 16, "run_id": "b2" * 16, "task_id": 7}
    assert GET_TASK.url(values) == f"/organizations/{'a1' * 16}/runs/{'b2' * 16}/tasks/7"


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("guest@example.com", "guest%40example.com"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a/b", "a%2Fb"),
        ("../me", "..%2Fme"),
        ("50%", "50%25"),
        ("?x#y", "%3Fx%23y"),
        ("Zoë", "Zo%C3%AB"),
        (1001, "1001"),
        (0, "0"),
    ],
)
def test_a_path_value_stays_in_its_segment(value: str | int, segment: str) -> None:
    operation = Operation(id="x", method="GET", path="/guests/{key}", scopes="none", call="org.x.get")
    assert operation.url({"key": value}) == f"/guests/{segment}"


@given(SEGMENTS, SEGMENTS, SEGMENTS)
def test_any_text_makes_one_segment_and_comes_back_whole(org: str, run: str, task: str) -> None:
    url = GET_TASK.url({"org": org, "run_id": run, "task_id": task})
    assert set(url) <= UNRESERVED | {"%", "/"}
    parts = url.split("/")
    assert [unquote(part, errors="strict") for part in parts] == ["", "organizations", org, "runs", run, "tasks", task]


@pytest.mark.parametrize("value", [None, "", " ", ".", "..", " .. ", True, 1.5, b"id", ["id"]])
def test_a_path_value_that_is_no_id_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^run_id must"):
        GET_TASK.url({"org": "o", "run_id": value, "task_id": "t"})


def test_a_missing_path_value_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="task_id"):
        GET_TASK.url({"org": "o", "run_id": "r"})


@pytest.mark.parametrize("text", ["\ud800", "id\udfff"])
def test_a_text_that_no_url_can_carry_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="run_id"):
        GET_TASK.url({"org": "o", "run_id": text, "task_id": "t"})
    with pytest.raises(ConfigurationError, match="'q'"):
        encode_query({"q": text})
    with pytest.raises(ConfigurationError, match="query parameter"):
        encode_query({text: "x"})


def test_the_query_follows_the_path_only_where_there_is_one() -> None:
    values = {"org": "o", "run_id": "r", "task_id": "t"}
    assert GET_TASK.url(values, {"with": "form_fields"}).endswith("/tasks/t?with=form_fields")
    assert GET_TASK.url(values, {}).endswith("/tasks/t")
    assert GET_TASK.url(values, {"with": None, "ids": []}).endswith("/tasks/t")


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_the_server_reads_back_every_query(query: dict[str, Any]) -> None:
    encoded = encode_query(query)
    assert set(encoded) <= UNRESERVED | set("%&=")
    assert php_tree(encoded) == expected(query)


@given(st.text())
def test_a_space_is_never_a_plus(text: str) -> None:
    encoded = encode_query({"q": text})
    assert "+" not in encoded
    assert " " not in encoded
    assert php_pairs(encoded) == [("q", text)]


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ({"q": "Onboard Ada"}, [("q", "Onboard Ada")]),
        ({"ids": [3, 1]}, [("ids[]", "3"), ("ids[]", "1")]),
        ({"ids": {2, 1}}, [("ids[]", "1"), ("ids[]", "2")]),
        ({"filter": {"name": {"value": "x"}}}, [("filter[name][value]", "x")]),
        ({"sort": [{"by": "name"}, {"by": "id"}]}, [("sort[0][by]", "name"), ("sort[1][by]", "id")]),
        ({"starred": True, "archived": False}, [("starred", "true"), ("archived", "false")]),
        ({"on": date(2026, 12, 1)}, [("on", "2026-12-01")]),
        ({"at": datetime(2026, 12, 1, 9, tzinfo=timezone(timedelta(hours=2)))}, [("at", "2026-12-01 07:00:00")]),
        ({"at": datetime(2026, 12, 1, tzinfo=UTC)}, [("at", "2026-12-01 00:00:00")]),
        ({"ratio": 0.5}, [("ratio", "0.5")]),
        ({"empty": ""}, [("empty", "")]),
        ({"a&b": "c=d"}, [("a&b", "c=d")]),
    ],
)
def test_values_have_one_spelling(query: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    assert php_pairs(encode_query(query)) == pairs


def test_brackets_are_encoded_like_everything_else() -> None:
    assert encode_query({"filter": {"name": "a b"}, "ids": [1]}) == "filter%5Bname%5D=a%20b&ids%5B%5D=1"


class Colour(str, enum.Enum):  # noqa: UP042 - the older spelling prints its name, which must not be sent
    RED = "red"


class Number(int, enum.Enum):
    ONE = 1


def test_members_of_enums_are_sent_by_value() -> None:
    assert encode_query({"colour": Colour.RED, "number": Number.ONE}) == "colour=red&number=1"
    assert (
        GET_TASK.url({"org": Colour.RED, "run_id": Number.ONE, "task_id": "t"}) == "/organizations/red/runs/1/tasks/t"
    )


@pytest.mark.parametrize("value", [object(), b"x", 1j, float("nan"), float("inf"), datetime(2026, 12, 1)])  # noqa: DTZ001
def test_a_value_that_no_query_can_carry_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError):
        encode_query({"q": value})
    with pytest.raises(ConfigurationError):
        encode_query({"q": {"inner": [value]}})


@pytest.mark.parametrize(
    ("method", "safety"),
    [(method, Safety.SAFE) for method in ("GET", "HEAD", "OPTIONS")]
    + [(method, Safety.WRITE) for method in ("POST", "PUT", "PATCH", "DELETE")],
)
def test_the_method_decides_on_safety_unless_told(method: str, safety: Safety) -> None:
    def operation(**given: Any) -> Operation:
        return Operation(id="x", method=method, path="/x", scopes="process", call="org.runs.x", **given)

    assert operation().safety is safety
    assert operation(safety=Safety.SAFE).safety is Safety.SAFE


def test_an_operation_knows_its_place() -> None:
    assert GET_TASK.resource == "org.runs.tasks"
    assert GET_TASK.scopes == frozenset({"process"})
    both = Operation(id="x", method="GET", path="/x", scopes=("process", "account"), call="org.x")
    assert both.scopes == frozenset({"process", "account"})
