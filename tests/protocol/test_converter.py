import copy
import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any, Required, TypedDict

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.errors import ConfigurationError, DecodeError, Outcome
from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import (
    UNSET,
    Id,
    Include,
    Item,
    MemberId,
    Moment,
    Remedy,
    Unset,
    requests,
    responses,
    structure,
    unstructure,
    write,
)


@attrs.frozen(kw_only=True, repr=False)
class Ref(Model):
    __bare__ = "id"

    id: MemberId
    name: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Share(Model):
    __bare__ = "percent"

    percent: float | None = None


@attrs.frozen(kw_only=True, repr=False)
class Thing(Model):
    id: Id
    title: str | None = None
    count: int | None = None
    ratio: float | None = None
    ok: bool | None = None
    at: datetime | None = None
    share: Share | None = None
    people: tuple[Ref, ...] | None = None
    names: list[str] | None = None
    data: dict[str, Any] | None = None
    ranks: dict[str, int] | None = None
    answers: dict[str, Any] | tuple[Ref, ...] | None = None
    place: Item[Ref | str] = None
    parts: Include["Thing"] | None = None
    parent: Item["Thing"] = None
    free: Any = None
    odd_key: int | None = attrs.field(default=None, metadata={"key": "odd-key"})


def test_a_payload_becomes_a_model_and_comes_back() -> None:
    payload = {
        "id": "a",
        "title": "t",
        "count": 3,
        "ratio": 0.5,
        "ok": True,
        "at": "2025-01-15T10:30:00.000Z",
        "share": {"percent": 5, "done": 1},
        "people": [{"id": 1, "name": "Ada"}],
        "names": ["x"],
        "data": {"k": [1, {"z": None}]},
        "ranks": {"a": 1},
        "parts": {"data": [{"id": "b"}], "meta": {"pagination": {"total": 12}}},
        "free": [None, 1],
        "odd-key": 7,
        "new": {"deep": [1]},
        "nothing": None,
    }
    thing = structure(payload, Thing)
    assert thing.at == datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
    assert thing.odd_key == 7
    assert thing.extra == {"new": {"deep": [1]}, "nothing": None}
    assert thing.parts is not None
    assert thing.parts.meta == {"pagination": {"total": 12}}
    assert [part.id for part in thing.parts] == ["b"]
    assert unstructure(thing) == payload
    assert unstructure([thing]) == [payload]
    assert unstructure({"x": thing}) == {"x": payload}


def test_null_is_absent() -> None:
    thing = structure({"id": "a", "title": None, "people": None, "parent": {"data": None}}, Thing)
    assert (thing.title, thing.people, thing.parent) == (None, None, None)
    assert unstructure(thing) == {"id": "a"}


def test_an_empty_list_is_an_empty_map() -> None:
    thing = structure({"id": "a", "data": [], "ranks": [], "share": []}, Thing)
    assert thing.data == {}
    assert thing.ranks == {}
    assert thing.share == Share()
    assert unstructure(thing) == {"id": "a", "data": {}, "ranks": {}, "share": {}}


def test_an_empty_map_is_an_empty_list() -> None:
    thing = structure({"id": "a", "people": {}, "names": {}, "parts": {}, "answers": []}, Thing)
    assert (thing.people, thing.names, thing.parts, thing.answers) == ((), [], (), ())


def test_an_empty_list_is_no_object_where_keys_are_required() -> None:
    assert structure({"id": "a", "parent": []}, Thing).parent is None
    assert structure({"id": "a", "parent": {"data": []}}, Thing).parent is None
    with pytest.raises(DecodeError, match=r"body\[0\]\.id: expected a value, got nothing"):
        structure([[]], tuple[Thing, ...])


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, True), (1, True), ("1", True), ("true", True), (False, False), (0, False), ("0", False), ("false", False)],
)
def test_loose_booleans(value: object, read: object) -> None:
    assert structure({"id": "a", "ok": value}, Thing).ok is read


@pytest.mark.parametrize("value", [2, -1, "yes", "", "TRUE", 1.0, [], {}])
def test_what_is_no_boolean(value: object) -> None:
    with pytest.raises(DecodeError, match=r"body\.ok: expected bool, got"):
        structure({"id": "a", "ok": value}, Thing)


def test_ids_are_numbers_or_strings() -> None:
    assert structure({"id": 5}, Thing).id == "5"
    assert structure({"id": "53a4560dc877f9b4f709f97630efbb5a"}, Thing).id == "53a4560dc877f9b4f709f97630efbb5a"
    assert structure({"id": "1001"}, Ref).id == 1001
    assert structure({"id": 1001}, Ref).id == 1001
    for value in (True, 1.0, [], {}, "", "abc", "-5", "1" * 19, "²", "1_000"):
        with pytest.raises(DecodeError, match=r"body\.id"):
            structure({"id": value}, Ref)
    for value in (True, 1.0, [], {}, 10**18, None):
        with pytest.raises(DecodeError, match=r"body\.id"):
            structure({"id": value}, Thing)


def test_bare_references() -> None:
    thing = structure({"id": "a", "people": [1, "2", {"id": 3, "name": "Ada"}], "share": 60}, Thing)
    assert thing.people == (Ref(id=1), Ref(id=2), Ref(id=3, name="Ada"))
    assert thing.share == Share(percent=60)
    assert unstructure(thing) == {"id": "a", "people": [1, 2, {"id": 3, "name": "Ada"}], "share": 60}
    assert thing.people[0].to_dict() == {"id": 1}
    assert len({*thing.people, Ref(id=1)}) == 3


def test_included_objects_are_bare_or_wrapped() -> None:
    for payload in ({"id": "b"}, {"data": {"id": "b"}}, {"data": {"id": "b"}, "meta": {}}):
        assert structure({"id": "a", "parent": payload}, Thing).parent == Thing(id="b")
    for place, read in (("USA", "USA"), ({"data": "USA"}, "USA"), ({"data": {"id": 4}}, Ref(id=4))):
        assert structure({"id": "a", "place": place}, Thing).place == read


def test_included_lists_keep_their_wrapper() -> None:
    for parts in ([], [{"id": "b"}], {"data": []}, {"data": [{"id": "b"}]}, {"data": [], "meta": {"count": 0}, "x": 1}):
        thing = structure({"id": "a", "parts": parts}, Thing)
        assert unstructure(thing) == {"id": "a", "parts": parts}
        assert thing.parts is not None
        assert thing.parts.meta == (parts.get("meta", {}) if isinstance(parts, dict) else {})


def test_an_included_null_is_an_empty_list() -> None:
    thing = structure({"id": "a", "parts": {"data": None}}, Thing)
    assert thing.parts == ()
    assert unstructure(thing) == {"id": "a", "parts": {"data": []}}


def test_unions_go_by_the_json_type() -> None:
    assert structure({"id": "a", "answers": {"k": 1}}, Thing).answers == {"k": 1}
    assert structure({"id": "a", "answers": [{"id": 1}]}, Thing).answers == (Ref(id=1),)
    with pytest.raises(DecodeError, match=r"body\.answers: expected dict or list, got str"):
        structure({"id": "a", "answers": "x"}, Thing)


@pytest.mark.parametrize(
    ("payload", "kind", "read"),
    [
        ([True, 0, "1"], tuple[bool, ...], (True, False, True)),
        (["a", 5], tuple[Id, ...], ("a", "5")),
        ([1, "5"], tuple[MemberId, ...], (1, 5)),
        ([1, 2.5], tuple[float, ...], (1, 2.5)),
        ([1, None], tuple[int | None, ...], (1, None)),
        ("10-50", tuple[int, ...] | str | None, "10-50"),
        ([1, 5], tuple[int, ...] | str | None, (1, 5)),
        (None, tuple[int, ...] | str | None, None),
        (0.5, float | dict[str, Any], 0.5),
        (True, bool | str, True),
        ("1", bool | str, "1"),
        ("2025-01-15 10:30:00", datetime | int, datetime(2025, 1, 15, 10, 30, tzinfo=UTC)),
        (7, Id | dict[str, Any], "7"),
        ({"a": 1}, Mapping[str, int], {"a": 1}),
        (5, Any, 5),
        ([5], Any | None, [5]),
    ],
)
def test_parts_of_fields_on_their_own(payload: object, kind: Any, read: object) -> None:
    assert structure(payload, kind) == read


@pytest.mark.parametrize(
    ("payload", "path", "problem"),
    [
        ("secret", "data", "expected dict (Thing), got str"),
        (None, "data", "expected dict (Thing), got NoneType"),
        ([1], "data", "expected dict (Thing), got list"),
        ({}, "data.id", "expected a value, got nothing"),
        ({"id": None}, "data.id", "expected a value, got NoneType"),
        ({"id": "a", "title": 5}, "data.title", "expected str, got int"),
        ({"id": "a", "count": True}, "data.count", "expected int, got bool"),
        ({"id": "a", "count": "5"}, "data.count", "expected int, got str"),
        ({"id": "a", "count": 5.0}, "data.count", "expected int, got float"),
        ({"id": "a", "ratio": "secret"}, "data.ratio", "expected float, got str"),
        ({"id": "a", "at": "secret"}, "data.at", "expected an ISO 8601 date and time, got str"),
        ({"id": "a", "at": 1736937000}, "data.at", "expected an ISO 8601 date and time, got int"),
        ({"id": "a", "names": ["x", 1]}, "data.names[1]", "expected str, got int"),
        ({"id": "a", "ranks": {"secret": "x"}}, "data.ranks[0]", "expected int, got str"),
        ({"id": "a", "people": "secret"}, "data.people", "expected list, got str"),
        ({"id": "a", "share": {"percent": "secret"}}, "data.share.percent", "expected float, got str"),
        ({"id": "a", "parts": {"data": [{"id": "b", "at": "secret"}]}}, "data.parts.data[0].at", "an ISO 8601"),
        ({"id": "a", "parts": {"x": []}}, "data.parts", "expected list, got dict"),
        ({"id": "a", "parent": {"data": {"id": []}}}, "data.parent.data.id", "expected str or int, got list"),
        ({"id": "a", "odd-key": "secret"}, "data.odd-key", "expected int, got str"),
    ],
)
def test_what_does_not_fit_is_named_by_path_and_type_only(payload: object, path: str, problem: str) -> None:
    with pytest.raises(DecodeError) as caught:
        structure(payload, Thing, path="data")
    error = caught.value
    assert error.path == path
    assert problem in str(error)
    assert error.outcome is Outcome.DONE
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(error))


def test_the_path_goes_through_lists_and_objects() -> None:
    payload = [{"id": "a"}, {"id": "b", "parts": [{"id": "c"}, {"id": "d", "share": {"percent": "x"}}]}]
    with pytest.raises(DecodeError) as caught:
        structure(payload, tuple[Thing, ...], path="data")
    assert caught.value.path == "data[1].parts[1].share.percent"


def test_endless_nesting_is_a_decode_error() -> None:
    payload: dict[str, Any] = {"id": "a"}
    for _ in range(5000):
        payload = {"id": "a", "parent": payload}
    with pytest.raises(DecodeError, match="less nesting"):
        structure(payload, Thing)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1", "2025-01-15 10:30:00"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from([*(field.name for field in attrs.fields(Thing)), "meta", "odd-key", "percent"]) | st.text(),
            inner,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_a_model_or_a_decode_error(payload: Any) -> None:
    before = copy.deepcopy(payload)
    for kind in (Thing, tuple[Thing, ...], Include[Thing], dict[str, Ref], Item[Thing], int | str):
        try:
            read = structure(payload, kind)
        except DecodeError as error:
            assert error.path.startswith("body")  # noqa: PT017
        else:
            json.dumps(unstructure(read))
    assert repr(payload) == repr(before)


def test_what_comes_back_shares_nothing() -> None:
    thing = structure({"id": "a", "data": {"k": [1]}, "free": {"f": [1]}, "new": [[1]]}, Thing)
    first = thing.to_dict()
    first["data"]["k"].append(2)
    first["free"]["f"].append(2)
    first["new"][0].append(2)
    assert thing.to_dict() == {"id": "a", "data": {"k": [1]}, "free": {"f": [1]}, "new": [[1]]}


def test_models_copy_pickle_and_print_what_they_have() -> None:
    thing = structure({"id": "a", "parts": {"data": [{"id": "b"}], "meta": {"m": 1}}, "new": 1}, Thing)
    assert repr(Thing(id="a", title="t", extra={"n": 1})) == "Thing(id='a', title='t', extra={'n': 1})"
    assert repr(Thing(id="a")) == "Thing(id='a')"
    assert copy.deepcopy(thing) == thing
    assert attrs.evolve(thing, title="x").extra == {"new": 1}
    parts = pickle.loads(pickle.dumps(Include([1, 2], wrapper={"meta": {"m": 1}})))
    assert (list(parts), parts.meta, parts.wrapper) == ([1, 2], {"m": 1}, {"meta": {"m": 1}})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        thing.title = "x"  # type: ignore[misc]


def test_the_converters_are_our_own_and_built_once() -> None:
    assert responses() is responses()
    assert requests() is requests()
    assert len({id(responses()), id(requests()), id(cattrs.global_converter)}) == 3
    with pytest.raises(cattrs.StructureHandlerNotFoundError):
        cattrs.structure("2025-01-15T10:30:00Z", datetime)


def test_a_hook_of_ones_own_takes_the_place_of_the_compiled_one() -> None:
    @attrs.frozen(kw_only=True)
    class Own:
        id: str
        extra: Mapping[str, Any] = attrs.field(factory=dict)

    responses().register_structure_hook(Own, lambda value, _: Own(id=f"own {value['id']}"))
    assert structure([{"id": "a"}], tuple[Own, ...]) == (Own(id="own a"),)
    with pytest.raises(DecodeError) as caught:
        structure([{"title": "x"}], tuple[Own, ...])
    assert str(caught.value) == "body: expected what its structure hook takes, got list"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert caught.value.path == "body"


def test_importing_the_models_compiles_nothing() -> None:
    code = (
        "import sys; from tallyfy_async.models import *; import tallyfy_async.protocol.converter as converter; "
        "assert Run.__name__ == 'Run' and not [name for name in sys.modules if name.split('.')[0] == 'cattrs']; "
        "assert converter.responses.cache_info().currsize == converter.requests.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Writes.


class Buckets(TypedDict):
    users: Iterable[int]
    guests: Iterable[str]


class Fields(TypedDict, total=False):
    name: Required[str]
    summary: str | None
    count: int
    ratio: float
    starred: bool
    deadline: Moment
    at: datetime
    day: date
    users: Iterable[int]
    tags: list[str]
    owners: Annotated[Buckets, Remedy("pass all buckets")]
    roles: Mapping[str, Buckets]
    prerun: Mapping[str, Any]
    mixed: Iterable[int] | int


def test_a_request_body() -> None:
    cet = timezone(timedelta(hours=1))
    body = write(
        Fields,
        {
            "name": "n",
            "summary": None,
            "count": UNSET,
            "ratio": 1,
            "starred": False,
            "deadline": datetime(2026, 12, 1, 1, 0, 0, 5, tzinfo=cet),
            "at": datetime(2026, 12, 1, tzinfo=UTC),
            "day": date(2026, 12, 1),
            "users": {30, 4, 5},
            "tags": (tag for tag in "ab"),
            "owners": {"users": (1,), "guests": []},
            "roles": {"r": {"users": [], "guests": ["a@b.com"]}},
            "prerun": {
                "a": date(2026, 12, 1),
                "b": [datetime(2026, 12, 1, tzinfo=UTC), {"c": (1, 2.5, None, True)}],
                "d": UNSET,
                "e": frozenset("yx"),
            },
            "mixed": [1],
        },
        what="things.update",
    )
    assert body == {
        "name": "n",
        "summary": None,
        "ratio": 1,
        "starred": False,
        "deadline": "2026-12-01 00:00:00",
        "at": "2026-12-01 00:00:00",
        "day": "2026-12-01",
        "users": [4, 5, 30],
        "tags": ["a", "b"],
        "owners": {"users": [1], "guests": []},
        "roles": {"r": {"users": [], "guests": ["a@b.com"]}},
        "prerun": {
            "a": "2026-12-01 00:00:00",
            "b": ["2026-12-01 00:00:00", {"c": [1, 2.5, None, True]}],
            "e": ["x", "y"],
        },
        "mixed": [1],
    }
    assert write(Fields, {"name": "n", "deadline": date(2026, 12, 1)})["deadline"] == "2026-12-01 00:00:00"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "things.update: lacks name"),
        ({"name": UNSET}, "things.update: lacks name"),
        ({"name": None}, "name must be str, not NoneType"),
        ({"name": 5}, "things.update: name must be str, not int"),
        ({"name": "n", "summary": 5}, "summary must be str or None, not int"),
        ({"name": "n", "count": "5"}, "count must be int, not str: pass int(…)"),
        ({"name": "n", "count": True}, "count must be int, not bool"),
        ({"name": "n", "ratio": float("nan")}, "ratio must be a finite number"),
        ({"name": "n", "starred": 1}, "starred must be bool, not int: pass bool(…)"),
        ({"name": "n", "deadline": "2026-12-01"}, "deadline must be datetime or date, not str: pass an aware datetime"),
        ({"name": "n", "at": date(2026, 12, 1)}, "at must be datetime, not date: pass an aware datetime"),
        ({"name": "n", "day": "2026-12-01"}, "day must be date, not str"),
        ({"name": "n", "day": datetime(2026, 12, 1, tzinfo=UTC)}, "day cannot be sent: a date is expected"),
        ({"name": "n", "users": 5}, "users must be a list, not int: pass [value]"),
        ({"name": "n", "users": "12"}, "users must be a list, not str: pass [value]"),
        ({"name": "n", "users": {1: 2}}, "users must be a list, not dict"),
        ({"name": "n", "users": [1, "2"]}, "users[1] must be int, not str"),
        ({"name": "n", "owners": {"users": [1]}}, "owners lacks guests: pass all buckets"),
        ({"name": "n", "owners": [1]}, "owners must be a mapping, not list: pass all buckets"),
        ({"name": "n", "owners": {"users": ["x"], "guests": []}}, "owners.users[0] must be int, not str"),
        ({"name": "n", "roles": {"r": {}}}, "roles['r'] lacks guests, users"),
        ({"name": "n", "prerun": []}, "prerun must be a mapping, not list"),
        ({"name": "n", "prerun": {5: 1}}, "prerun must have str keys, not int"),
        ({"name": "n", "prerun": {"a": {"b": [object()]}}}, "prerun['a']['b'][0] must be a JSON value, not object"),
        ({"name": "n", "prerun": {"a": float("inf")}}, "prerun['a'] must be a finite number"),
        ({"name": "n", "mixed": ["x"]}, "mixed[0] must be int, not str"),
        ({"name": "n", "mixed": "x"}, "mixed must be Iterable or int, not str"),
        ({"title": "n"}, "does not know 'title': did you mean 'name'?"),
        ({"name": "n", "description": "d"}, "does not know 'description': did you mean 'summary'?"),
        ({"name": "n", "prerun_data": {}}, "did you mean 'prerun'?"),
        ({"name": "n", "stared": True}, "does not know 'stared': did you mean 'starred'?"),
        ({"name": "n", "zzz": 1}, "does not know 'zzz': known are at, count, day"),
        ({"name": "n", "zzz": 1, "usres": 2}, "'zzz': known are"),
        ({"name": "n", "zzz": 1, "usres": 2}, "; does not know 'usres': did you mean 'users'?"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        write(Fields, fields, what="things.update")
    assert message in str(caught.value)
    assert str(caught.value).startswith("things.update: ")
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("key", ["deadline", "at", "prerun"])
def test_naive_datetimes_are_refused_with_the_remedy(key: str) -> None:
    naive = datetime(2026, 12, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ConfigurationError, match=r"cannot be sent: a naive datetime .* tzinfo=UTC"):
        write(Fields, {"name": "n", key: {"k": naive} if key == "prerun" else naive})


def test_arguments_that_contain_themselves_are_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        write(Fields, {"name": "n", "prerun": loop})


def test_the_caller_s_objects_stay_as_they_are() -> None:
    users = [2, 1]
    prerun = {"k": [1]}
    body = write(Fields, {"name": "n", "users": users, "prerun": prerun})
    body["users"].append(3)
    body["prerun"]["k"].append(2)
    assert (users, prerun) == ([2, 1], {"k": [1]})


def test_iterators_are_read_once() -> None:
    def ids() -> Iterator[int]:
        yield from (1, 2)

    assert write(Fields, {"name": "n", "users": ids()})["users"] == [1, 2]


def test_unset_is_one_false_object() -> None:
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert copy.deepcopy(UNSET) is UNSET
    assert isinstance(UNSET, Unset)
