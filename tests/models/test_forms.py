from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tallyfy_async.errors import ConfigurationError, KickoffError, Outcome
from tallyfy_async.models import Asset, Checklist, GroupRef, GuestRef, Owners, Run, Step, Task, UserRef
from tallyfy_async.models.forms import KickoffForm, TaskForm
from tallyfy_async.protocol.converter import structure
from tallyfy_async.sandbox import Sandbox, Settings, values
from tallyfy_async.sandbox.records import Field

SANDBOX = Sandbox(Settings(templates=1, runs=0, tasks=0))
TENANT = SANDBOX.world.tenants[SANDBOX.credentials.organization]
MEMBERS = sorted(TENANT.members)
IDS = [f"{number:032x}" for number in range(1, 30)]
TYPES = ("text", "textarea", "email", "date", "radio", "dropdown", "multiselect", "table", "assignees_form", "file")

Json = dict[str, Any]


def definition(kind: str | None, label: str | None = "Answer", number: int = 0, **more: Any) -> Json:
    options = [{"id": n, "text": text, "value": None} for n, text in enumerate(more.pop("options", ()), 1)]
    columns = [{"id": n, "label": text} for n, text in enumerate(more.pop("columns", ()), 1)]
    alias = more.pop("alias", f"alias-{number}")
    whole = {"id": IDS[number], "alias": alias, "label": label, "field_type": kind, "position": number + 1}
    return {**whole, "required": False, "options": options, "columns": columns, "settings": [], **more}


def form(*definitions: Json) -> KickoffForm:
    template = {"id": "c" * 32, "title": "Onboarding", "prerun": list(definitions)}
    return KickoffForm.of(structure(template, Checklist))


def one(kind: str | None, **more: Any) -> KickoffForm:
    return form(definition(kind, **more))


def encoded(kind: str | None, value: Any, **more: Any) -> Any:
    return one(kind, **more).encode({"Answer": value})[IDS[0]]


def problem(kind: str | None, value: Any, **more: Any) -> str:
    with pytest.raises(KickoffError) as caught:
        one(kind, **more).encode({"Answer": value})
    assert list(caught.value.fields) == ["Answer"]
    return caught.value.fields["Answer"]


def tried(here: KickoffForm, answers: Json) -> Json | KickoffError:
    try:
        return here.encode(answers)
    except KickoffError as error:
        return error


def judged(shape: Json, wire: Any) -> tuple[Any, Any]:
    """Return what the sandbox's validator keeps and what it says against a value."""
    field = Field(
        id=shape["id"],
        alias=shape["alias"],
        label=shape["label"],
        field_type=shape["field_type"],
        position=1,
        options=shape["options"],
        columns=shape["columns"],
        created_at=0,
        updated_at=0,
    )
    kept, _, errors = values.check(SANDBOX.world, TENANT, [field], {field.id: json.loads(json.dumps(wire))})
    return kept.get(field.id), errors


# What a text may be here: some blanks, signs that look alike, no empty one.
TEXT = st.text(min_size=1, max_size=40)
OPTION = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
OPTIONS = st.lists(OPTION, min_size=1, max_size=6, unique=True)
COLUMNS = st.lists(OPTION.filter(lambda text: not text.isdigit()), min_size=1, max_size=5, unique=True)
MOMENT = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2999, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
CELL = st.one_of(st.none(), TEXT, st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False))
MAIL = st.builds("{}@{}.org".format, st.text("abcdef", min_size=1), st.text("abcdef", min_size=1))
FILE = st.fixed_dictionaries(
    {"id": st.sampled_from(IDS), "filename": TEXT}, optional={"source": st.sampled_from(["local", "url"])}
)


@st.composite
def answered(draw: st.DrawFn, kind: str) -> tuple[Json, Any]:
    """Draw the definition of a field and a natural value for it."""
    if kind in {"radio", "dropdown", "multiselect"}:
        options = draw(OPTIONS)
        chosen = st.lists(st.sampled_from(options), min_size=1, unique=True)
        value = draw(chosen if kind == "multiselect" else st.sampled_from(options))
        return definition(kind, options=options), value
    if kind == "table":
        columns = draw(COLUMNS)
        row = st.fixed_dictionaries(dict.fromkeys(columns, CELL))
        return definition(kind, columns=columns), draw(st.lists(row, min_size=1, max_size=4))
    people = st.fixed_dictionaries(
        {
            "users": st.lists(st.sampled_from(MEMBERS), unique=True),
            "guests": st.lists(MAIL, unique=True),
            "groups": st.lists(st.sampled_from(IDS), unique=True),
        }
    ).filter(lambda buckets: any(buckets.values()))
    simple: dict[str, st.SearchStrategy[Any]] = {
        "text": st.text(min_size=1, max_size=200),
        "textarea": st.text(min_size=1, max_size=500),
        "email": MAIL,
        "date": MOMENT,
        "assignees_form": people,
        "file": st.lists(FILE, min_size=1, max_size=3),
    }
    return definition(kind), draw(simple[kind])


@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
def test_what_is_encoded_is_taken_by_the_validator_and_decoded_to_what_it_was(kind: str, data: st.DataObject) -> None:
    shape, value = data.draw(answered(kind))
    here = form(shape)
    wire = here.encode({"Answer": value})
    kept, errors = judged(shape, wire[IDS[0]])
    assert not errors
    decoded = here.decode({IDS[0]: kept})["Answer"]
    if kind == "file":
        decoded = [{key: entry[key] for key in entry if key in given} for entry, given in zip(kept, value, strict=True)]
    assert decoded == value
    assert here.encode({"Answer": decoded}) == wire


@given(options=OPTIONS, data=st.data())
def test_an_option_is_found_by_its_id_unless_that_is_the_text_of_another(
    options: list[str], data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(options)))
    wanted = str(number) if str(number) in options else options[number - 1]
    assume(not any(text.strip() == str(number) != text for text in options))
    for name in (number, str(number)):
        assert encoded("dropdown", name, options=options)["text"] == wanted


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3) | MOMENT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "text", "users", "name", "selected", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", [*TYPES, "number", None])
@given(value=HOSTILE)
def test_whatever_is_given_is_encoded_or_refused(kind: str, value: Any) -> None:
    here = one(kind, options=["a", "b"], columns=["a", "b"])
    wire = tried(here, {"Answer": value})
    if isinstance(wire, KickoffError):
        assert list(wire.fields) == ["Answer"]
        return
    json.dumps(wire, allow_nan=False)
    if kind in TYPES and wire[IDS[0]] is not None:
        shape = definition(kind, options=["a", "b"], columns=["a", "b"])
        assert not judged(shape, wire[IDS[0]])[1]


@pytest.mark.parametrize("kind", [*TYPES, "number", None])
@given(stored=HOSTILE)
def test_whatever_is_stored_is_decoded(kind: str, stored: Any) -> None:
    decoded = one(kind, options=["a", "b"], columns=["a", "b"]).decode({IDS[0]: stored})
    assert list(decoded) == ["Answer"]


LITTLE = st.none() | st.text(max_size=3)
FIELD = st.fixed_dictionaries(
    {"id": st.sampled_from(IDS)},
    optional={
        "label": LITTLE,
        "alias": LITTLE,
        "field_type": st.none() | st.sampled_from([*TYPES, "new"]),
        "options": st.none()
        | st.lists(st.fixed_dictionaries({}, optional={"id": st.none() | st.integers(), "text": LITTLE})),
        "columns": st.none() | st.just([]) | st.lists(st.fixed_dictionaries({}, optional={"label": LITTLE})),
        "settings": st.none() | st.just([]),
        "required": st.none() | st.booleans(),
        "position": st.none() | st.integers(0, 3),
    },
)


@given(
    definitions=st.lists(FIELD, max_size=5),
    answers=st.dictionaries(st.text(max_size=3) | st.sampled_from(IDS), HOSTILE, max_size=3),
)
def test_hostile_definitions_make_no_other_error(definitions: list[Json], answers: Json) -> None:
    here = form(*definitions)
    assert len(set(here.names)) == len(here.names) == len({shape["id"] for shape in definitions})
    for name in here.names:
        assert here.field(name).id in IDS
    here.decode(answers)
    wire = tried(here, answers)
    assert wire.fields if isinstance(wire, KickoffError) else wire.keys() <= set(IDS)


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        ("text", "x", "x"),
        ("text", 0, "0"),
        ("text", 12, "12"),
        ("text", 1.5, "1.5"),
        ("text", Decimal("1.10"), "1.10"),
        ("text", False, "false"),
        ("textarea", True, "true"),
        ("email", "ada@example.com", "ada@example.com"),
        ("date", date(2026, 12, 1), "2026-12-01 00:00:00"),
        ("date", datetime(2026, 12, 1, 9, 30, tzinfo=UTC), "2026-12-01 09:30:00"),
        ("date", datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-30 23:00:00"),
        ("date", " 2026-12-01 ", "2026-12-01 00:00:00"),
        ("date", "2026-12-01 09:30:00", "2026-12-01 09:30:00"),
        ("date", "2026-12-01T09:30:00.000Z", "2026-12-01 09:30:00"),
        ("date", "2026-12-01T09:30:00+01:00", "2026-12-01 08:30:00"),
        ("radio", "  HIGH ", "High"),
        ("radio", 2, "No"),
        ("radio", False, "No"),
        ("radio", {"id": 1, "text": "High"}, "High"),
        ("radio", {"id": "1"}, "High"),
        ("dropdown", "no", {"id": 2, "text": "No"}),
        ("dropdown", {"text": "No"}, {"id": 2, "text": "No"}),
        ("multiselect", "high", [{"id": 1, "text": "High", "selected": True}]),
        (
            "multiselect",
            {"no", "high"},
            [{"id": 1, "text": "High", "selected": True}, {"id": 2, "text": "No", "selected": True}],
        ),
        ("multiselect", ["High", 1, "high"], [{"id": 1, "text": "High", "selected": True}]),
        (
            "multiselect",
            [{"id": 1, "text": "High", "selected": False}, {"id": 2, "text": "No", "selected": True}],
            [{"id": 2, "text": "No", "selected": True}],
        ),
        ("multiselect", [{"id": 1, "text": "High", "selected": False}], None),
        ("table", {"Item": "Pen", "price": 3}, ["Pen", 3]),
        ("table", {"Price": Decimal("1.10")}, [None, "1.10"]),
        ("table", [{"Item": "Pen"}], ["Pen", None]),
        ("table", [{"Item": "Pen"}, {"Item": "Ink", "Price": 2}], [["Pen", "Ink"], [None, 2]]),
        ("table", [["Pen", "Ink"], [1, True]], [["Pen", "Ink"], [1, "true"]]),
        ("table", ("Pen", date(2026, 12, 1)), ["Pen", "2026-12-01 00:00:00"]),
        ("assignees_form", 1001, {"users": [1001], "guests": [], "groups": []}),
        (
            "assignees_form",
            ["1001", "a@b.org", "f" * 32],
            {"users": [1001], "guests": ["a@b.org"], "groups": ["f" * 32]},
        ),
        ("assignees_form", {"users": ["1001", 1001]}, {"users": [1001], "guests": [], "groups": []}),
        ("assignees_form", {"users": [], "guests": []}, None),
        (
            "assignees_form",
            Owners(users=(UserRef(id=1001),), guests=(GuestRef(email="a@b.org"),), groups=()),
            {"users": [1001], "guests": ["a@b.org"], "groups": []},
        ),
        ("assignees_form", [UserRef(id=5), GroupRef(id="g")], {"users": [5], "guests": [], "groups": ["g"]}),
        ("file", Asset(id="a", filename="x.pdf"), [{"source": "local", "id": "a", "filename": "x.pdf"}]),
        ("file", {"id": "a", "filename": "x.pdf"}, [{"id": "a", "filename": "x.pdf"}]),
        (
            "file",
            "https://example.com/papers/a%20b.pdf?x=1",
            [{"url": "https://example.com/papers/a%20b.pdf?x=1", "filename": "a b.pdf", "source": "url"}],
        ),
        ("number", 5, 5),
        (None, {"a": [date(2026, 1, 1)]}, {"a": ["2026-01-01 00:00:00"]}),
    ],
)
def test_natural_values(kind: str | None, value: Any, wire: Any) -> None:
    assert encoded(kind, value, options=["High", "No"], columns=["Item", "Price"]) == wire


@pytest.mark.parametrize("kind", [one for one in TYPES if one != "table"])
@pytest.mark.parametrize("empty", [None, "", [], (), {}, set()])
def test_empty_values_clear(kind: str, empty: Any) -> None:
    assert encoded(kind, empty, options=["a", "b"]) is None


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("text", "x" * 201, "takes at most 200 characters, not 201"),
        ("text", {"value": "x"}, "takes a text, not dict"),
        ("text", float("nan"), "takes a text, not float"),
        ("textarea", "x" * 30_001, "at most 30000"),
        ("email", 5, "takes an e-mail address as text, not int"),
        ("date", 1733700000, "takes a datetime, a date or a text such as '2026-12-01', not int"),
        ("date", "31.01.2026", "takes a moment such as '2026-12-01'"),
        ("date", "2026-02-31", "takes a moment such as"),
        ("date", datetime(2026, 1, 1), "a naive datetime is ambiguous"),  # noqa: DTZ001
        ("radio", "Hihg", "has no such option: did you mean 'High'?"),
        ("radio", "zzz", "has no such option: there is 'High', 'No'"),
        ("radio", 9, "has no such option"),
        ("radio", ["High"], "takes the text of an option, not list"),
        ("dropdown", {"id": 1, "text": "No"}, "has no such option"),
        ("dropdown", True, "has no such option"),
        ("multiselect", ["High", "Hihg", "zzz"], "did you mean 'High'?; has no such option: there is"),
        ("table", None, "the server refuses an empty table: leave the field out"),
        ("table", [], "the server refuses an empty table"),
        ("table", "x", "takes rows"),
        ("table", ["Pen"], "takes 2 columns, not 1"),
        ("table", {"Prize": 1}, "does not know the column 'Prize': did you mean 'Price'?"),
        ("table", {"Item": 1, "item": 2}, "has the column 'Item' twice"),
        ("table", [{"Item": 1}, 5], "mixes rows"),
        ("table", {"Item": object()}, "has a cell that is no text or number but object"),
        ("assignees_form", {"members": [1]}, "does not know 'members': there is 'users', 'guests', 'groups'"),
        ("assignees_form", {"users": 5}, "takes a list of users, not int"),
        ("assignees_form", {"users": ["Ada"]}, "takes members by their numeric ids"),
        ("assignees_form", {"users": [True]}, "takes members by their numeric ids"),
        ("assignees_form", {"guests": [5]}, "takes guests as text, not int"),
        ("assignees_form", 1.5, "takes members' ids"),
        ("assignees_form", Owners(users=()), "read without users, guests"),
        ("file", "report.pdf", "upload a file of this machine first"),
        ("file", 5, "takes uploaded files or web addresses, not int"),
        ("file", {"name": "x", "id": "a"}, "did you mean 'filename'?"),
        ("file", {"filename": "x"}, "without id, url or full_url"),
        ("file", {"id": object()}, "['id'] must be a JSON value"),
        ("number", object(), "must be a JSON value"),
    ],
)
def test_values_that_do_not_fit(kind: str, value: Any, told: str) -> None:
    assert told in problem(kind, value, options=["High", "No"], columns=["Item", "Price"])


def test_a_number_that_python_does_not_spell() -> None:
    assert problem("text", 10**5000) == "takes a text, not int"
    assert "numeric ids" in problem("assignees_form", {"users": ["9" * 5000]})


def test_a_value_that_contains_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert (
        problem("number", endless)
        == problem("file", {"id": "a", "x": endless})
        == ("is nested too deeply, or contains itself")
    )


def test_options_of_one_text() -> None:
    same = ["Yes", "yes", "No", "No"]
    assert encoded("dropdown", "yes", options=same) == {"id": 2, "text": "yes"}
    assert "has several options of this text: pass one of their ids, 1, 2" in problem("dropdown", "YES", options=same)
    assert "3, 4" in problem("dropdown", "No", options=same)
    assert encoded("dropdown", {"id": 4, "text": "No"}, options=same) == {"id": 4, "text": "No"}
    assert encoded("radio", "No", options=same) == "No"


def test_definitions_without_options() -> None:
    assert "has no options in its definition" in problem("radio", "x", options=[])
    shape = definition("dropdown")
    with pytest.raises(KickoffError, match="option without id"):
        form({**shape, "options": [{"text": "A"}]}).encode({"Answer": "A"})
    with pytest.raises(KickoffError, match="has no options"):
        form({**shape, "options": None}).encode({"Answer": "A"})
    with pytest.raises(KickoffError, match="has no columns"):
        form({**definition("table"), "columns": None}).encode({"Answer": ["A"]})


def test_choices_from_a_list_of_the_organization() -> None:
    assert encoded("radio", "Berlin", list="offices") == "Berlin"
    assert encoded("dropdown", {"id": 7, "text": "Berlin"}, list="offices") == {"id": 7, "text": "Berlin"}
    assert "takes its choices from a list of the organization" in problem("dropdown", "Berlin", list={"id": 1})


PEOPLE = (
    definition("text", "Name", 0, required=True),
    definition("text", "Name", 1, alias="name-2"),
    definition("date", " Start  Date", 2, required=True),
    definition("text", None, 3, alias=None),
    definition("text", "", 4, alias="Kürzel"),
    definition("text", "Region", 5, alias="region"),
)


def test_fields_are_found_by_label_alias_and_id() -> None:
    here = form(*PEOPLE)
    assert here.names == ("alias-0", "name-2", " Start  Date", IDS[3], "Kürzel", "Region")
    assert here.required == ("alias-0", " Start  Date")
    given = {"alias-0": "a", IDS[1]: "b", "start date": "2026-12-01", "KU\u0308RZEL": "c", "region": "d"}
    assert here.encode(given) == {
        IDS[0]: "a",
        IDS[1]: "b",
        IDS[2]: "2026-12-01 00:00:00",
        IDS[4]: "c",
        IDS[5]: "d",
    }


def test_every_problem_is_told_at_once() -> None:
    here = form(*PEOPLE, definition("dropdown", "Size", 6, options=["Small", "Large"]))
    with pytest.raises(KickoffError) as caught:
        here.encode({"Name": "a", "Regoin": "b", "region": "c", IDS[5]: "d", "Size": "Smal", 7: "e"})  # type: ignore[dict-item]
    error = caught.value
    assert error.outcome is Outcome.NOT_SENT
    assert error.fields == {
        "Name": "is the name of 2 fields: use 'alias-0', 'name-2'",
        "Regoin": "is no field of the form: did you mean 'Region'?",
        IDS[5]: "is answered twice: also as 'region'",
        "Size": "has no such option: did you mean 'Small'?",
        "7": "a key must be a label, an alias or an id as text, not int",
        "alias-0": "is required",
        " Start  Date": "is required",
    }
    assert all(f"{key}: {told}" in str(error) for key, told in error.fields.items())
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(twin), twin.fields) == (str(error), error.fields)


def test_the_error_names_no_value() -> None:
    with pytest.raises(KickoffError) as caught:
        form(definition("radio", "A", 0, options=["x"]), definition("date", "B", 1)).encode(
            {"A": "s3cret", "B": "s3cret"}
        )
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("wrong", [["x"], "x", None, 5])
def test_answers_that_are_no_mapping(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a mapping such as \{label: value\}"):
        one("text").encode(wrong)


def test_an_empty_answer_does_not_fill_a_required_field() -> None:
    here = one("text", required=True)
    for empty in ({}, {"Answer": None}, {"Answer": ""}):
        with pytest.raises(KickoffError, match="Answer: is required"):
            here.encode(empty)
    assert here.encode({"Answer": 0}) == {IDS[0]: "0"}
    assert here.encode({}, complete=False) == {}


def test_the_default_of_a_required_field_is_left_to_the_server() -> None:
    here = one("text", required=True, default_value_enabled=True, default_value="x")
    assert here.encode({}) == {}
    with pytest.raises(KickoffError, match="is required"):
        here.encode({"Answer": None})
    with pytest.raises(KickoffError, match="is required"):
        one("text", required=True, default_value_enabled=False, default_value="x").encode({})


def test_archived_fields_and_doubles_are_no_part_of_the_form() -> None:
    old = definition("text", "Old", 0, required=True, archived_at="2025-01-15T10:00:00.000Z")
    here = form(old, definition("text", "B", 2), definition("text", "A", 1), definition("text", "A again", 1))
    assert here.names == ("A", "B")
    assert here.encode({}) == {}
    assert here.decode({IDS[0]: "kept"}) == {IDS[0]: "kept"}


def test_a_template_without_its_kickoff_fields() -> None:
    assert KickoffForm.of(structure({"id": "c", "title": "t", "prerun": {}}, Checklist)).fields == ()
    with pytest.raises(ConfigurationError, match=r"read it alone, with checklists\.get"):
        KickoffForm.of(structure({"id": "c", "title": "t"}, Checklist))


def test_a_form_is_filled_in() -> None:
    filled = one("radio", options=["High"]).fill({"answer": "high"})
    assert (filled.checklist_id, filled.prerun) == ("c" * 32, {IDS[0]: "High"})


@pytest.mark.parametrize("nothing", [None, [], {}, "x", 5])
def test_no_answers_are_decoded_to_none(nothing: Any) -> None:
    assert one("text").decode(nothing) == {}


def test_answers_of_2020_are_decoded() -> None:
    fields = [{"id": IDS[0], "field_value": "2026-12-01 00:00:00"}, {"id": IDS[1], "value": "kept"}]
    run = structure({"id": "r", "name": "n", "prerun": fields}, Run)
    assert one("date").decode(run.prerun) == {"Answer": datetime(2026, 12, 1, tzinfo=UTC), IDS[1]: "kept"}


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [
        ("dropdown", {"id": "2"}, "No"),
        ("dropdown", {"id": 9}, {"id": 9}),
        ("dropdown", "High", "High"),
        ("multiselect", [{"id": 1, "text": "High"}, {"id": 2, "text": "No", "selected": True}, "x"], ["No", "x"]),
        ("multiselect", "High", "High"),
        ("date", "2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        ("date", "next week", "next week"),
        ("date", 5, 5),
        ("table", ["a"], ["a"]),
        ("table", [["a", "b"], "c"], [{"Item": "a", "Price": "c"}, {"Item": "b", "Price": None}]),
        ("assignees_form", {"users": [{"id": 5, "full_name": "Ada"}]}, {"users": [5], "guests": [], "groups": []}),
        ("assignees_form", {"guests": [{"email": "a@b.org"}]}, {"users": [], "guests": ["a@b.org"], "groups": []}),
        ("assignees_form", "x", "x"),
        ("assignees_form", {"users": 1}, {"users": 1}),
        ("file", {"id": "a"}, [{"id": "a"}]),
        ("text", [], None),
    ],
)
def test_stored_answers(kind: str, stored: Any, value: Any) -> None:
    here = one(kind, options=["High", "No"], columns=["Item", "Price"])
    assert here.decode({IDS[0]: stored}) == {"Answer": value}


def test_columns_without_a_label_of_their_own_go_by_their_place() -> None:
    here = one("table", columns=["Item", "", "Item", None, "2"])
    rows = here.decode({IDS[0]: ["a", "b", "c", "d", "e"]})["Answer"]
    assert rows == [{"1": "a", "2": "b", "3": "c", "4": "d", "5": "e"}]
    assert here.encode({"Answer": rows}) == {IDS[0]: ["a", "b", "c", "d", "e"]}


def task(**more: Any) -> Task:
    return structure({"id": "t" * 32, "title": "Review", **more}, Task)


def test_the_form_of_a_task() -> None:
    fields = [
        definition("text", "Name", 0, required=True, field_value="Ada"),
        definition("date", "Due", 1, required=True, value="2026-12-01T00:00:00.000Z"),
        definition("text", "Note", 2, required=True),
        definition("text", "More", 3),
    ]
    here = TaskForm.of(task(form_fields={"data": fields}, taskdata={IDS[0]: "old", IDS[3]: "x"}))
    assert here.answers == {"Name": "Ada", "Due": datetime(2026, 12, 1, tzinfo=UTC), "More": "x"}
    assert here.missing() == ("Note",)
    assert here.missing({"Note": "y"}) == ()
    assert here.missing({"Note": "y", "Name": None}) == ("Name",)
    filled = here.fill({"Name": None})
    assert (filled.task_id, filled.taskdata) == ("t" * 32, {IDS[0]: None})
    with pytest.raises(KickoffError, match="Note: is required"):
        here.encode({"Name": "x"}, complete=True)


def test_the_form_of_a_step() -> None:
    step = structure({"id": "s", "title": "Review", "captures": [definition("text", "Name", 0)]}, Step)
    assert TaskForm.of(step).fill({"Name": "x"}).taskdata == {IDS[0]: "x"}
    with_step = task(step={"data": {"id": "s", "title": "Review", "captures": [definition("text", "Name", 0)]}})
    here = TaskForm.of(with_step)
    assert (here.names, here.task_id) == (("Name",), "t" * 32)


def test_a_task_without_its_fields() -> None:
    for source in (task(), task(step={"id": "s", "title": "x"}), structure({"id": "s", "title": "x"}, Step)):
        with pytest.raises(ConfigurationError, match="form_fields"):
            TaskForm.of(source)


def test_a_field_is_shown_by_any_of_its_names() -> None:
    here = form(*PEOPLE)
    assert here.field("REGION").id == IDS[5]
    with pytest.raises(KickoffError, match="Regionn: is no field of the form: did you mean 'Region'"):
        here.field("Regionn")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "  a; b ", "  a; b "),
        ("date", "2026-12-01", "2026-12-01"),
        ("dropdown", "High", "High"),
        ("multiselect", "High", "High"),
        ("multiselect", " no; high ;\n", ["no", "high"]),
        ("multiselect", "a; b", "a; b"),
        ("multiselect", '["High"]', ["High"]),
        ("multiselect", "[High", "[High"),
        ("table", "Pen;; 3", ["Pen", None, "3"]),
        ("table", '{"Item": "Pen"}', {"Item": "Pen"}),
        ("table", "[" * 100_000, "[" * 100_000),
        ("assignees_form", "1001; a@b.org", ["1001", "a@b.org"]),
        ("assignees_form", '{"users": [1001]}', {"users": [1001]}),
        ("file", "https://x.org/a\nhttps://x.org/b", ["https://x.org/a", "https://x.org/b"]),
    ],
)
def test_texts_become_values(kind: str, text: str, value: Any) -> None:
    here = one(kind, options=["High", "No", "a; b"], columns=["Item", "Price"])
    assert here.parse({"answer": text, "unknown": "x", "blank": " \n"}) == {"answer": value, "unknown": "x"}


@pytest.mark.parametrize("kind", TYPES)
@given(text=st.text(max_size=30))
def test_any_text_is_encoded_or_refused(kind: str, text: str) -> None:
    here = one(kind, options=["a", "b"], columns=["a", "b"])
    wire = tried(here, here.parse({"Answer": text}))
    assert wire.fields if isinstance(wire, KickoffError) else wire.keys() <= {IDS[0]}


@given(options=OPTIONS, data=st.data())
def test_options_in_a_cell_are_those_options(options: list[str], data: st.DataObject) -> None:
    assume(not any(set(text) & set(";[{\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029") for text in options))
    assume(len({text.strip() for text in options}) == len(options))
    chosen = data.draw(st.lists(st.sampled_from(options), min_size=1, unique=True))
    here = one("multiselect", options=options)
    wanted = tried(here, {"Answer": [text.strip() for text in chosen]})
    assert tried(here, here.parse({"Answer": "; ".join(chosen)})) == wanted or isinstance(wanted, KickoffError)
