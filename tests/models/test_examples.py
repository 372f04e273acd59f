"""Every example of the contract through what the client really makes of it, and mutations of it.

A row of tests/contract is run against the scripted server while ``structure`` is overheard: that tells payload and
kind, whatever a method does with them. Operations without a published example answer with one made from their schema.
"""

from __future__ import annotations

import copy
import inspect
import json
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_args, get_type_hints

import anyio
import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallyfy_async import models, resources
from tallyfy_async.errors import DecodeError
from tallyfy_async.models import Model
from tallyfy_async.protocol.converter import structure, unstructure, write
from tests.contract.document import contract, promises, published, sample
from tests.contract.scripted import BASE, Scripted
from tests.contract.table import ROWS
from tests.helpers import connect
from tests.models.test_payloads import ODD, places, replaced, same
from tests.resources.place import arranged, place

pytestmark = pytest.mark.once

CALLED = sorted({row.operation for row in ROWS})
MODULES = [import_module(f"tallyfy_async.resources.{one.name}") for one in iter_modules(resources.__path__)]


@frozen(kw_only=True)
class Reading:
    """One call of ``structure``: what was read, and into what."""

    payload: Any
    kind: Any


async def overheard(operation: str, payload: Any) -> list[Reading]:
    """Return what the client reads of a reply to an operation."""
    row = next(row for row in ROWS if row.operation == operation)
    readings: list[Reading] = []

    def listening(payload: Any, kind: Any, **options: Any) -> Any:
        if server.operations and server.operations[-1].id == operation:
            readings.append(Reading(payload=copy.deepcopy(payload), kind=kind))
        return structure(payload, kind, **options)

    server = Scripted(answers={} if payload is None else {operation: payload})
    async with place() as empty:
        at = await arranged(empty, row.arrange)
        with pytest.MonkeyPatch.context() as patch:
            for module in MODULES:
                if hasattr(module, "structure"):
                    patch.setattr(module, "structure", listening)
            async with connect(at.sandbox, base_url=BASE, transport=server, allow_unverified=True) as tallyfy:
                await row.call(evolve(at, tallyfy=tallyfy, org=tallyfy.organization()))
    return readings


@cache
def readings(operation: str) -> tuple[Reading, ...]:
    """Return what is read of every published example, or of one made from the schema."""
    payloads = published(promises()[operation]) or [None]
    return tuple(reading for payload in payloads for reading in anyio.run(overheard, operation, payload))


NOT_READ = {"archive_run": models.Run}
"""Published examples of operations whose method returns nothing, and the model that they fit all the same."""
ROWLESS = {"create_application_user": models.ApplicationUser}
TOKENS = {"create_token", "refresh_token", "create_application_user_token"}
"""Their replies are no models but tokens: tests/auth reads them."""
HITS = (models.BlueprintHit, models.ProcessHit, models.SearchHit, models.SnippetHit, models.TaskHit)


def data(payload: Any) -> Any:
    return payload["data"] if isinstance(payload, dict) and "data" in payload else payload


def many(payload: Any, kind: Any) -> Reading:
    return Reading(payload=payload, kind=tuple[kind, ...] if isinstance(payload, list) else kind)


def further(operation: str) -> list[Reading]:
    """Return the readings that no row shows."""
    kind = {**NOT_READ, **ROWLESS}.get(operation)
    found = [many(data(payload), kind) for payload in published(promises()[operation])] if kind else []
    item = sample(contract()["components"]["schemas"]["SearchItem"]) if operation == "search" else None
    return found + [Reading(payload=item, kind=hit) for hit in HITS if item]


PUBLISHED = sorted(promise.id for promise in promises().values() if published(promise))
READ = sorted({*CALLED, *ROWLESS})


def all_of(operation: str) -> list[Reading]:
    return [*(readings(operation) if operation in CALLED else ()), *further(operation)]


def test_every_published_example_is_read() -> None:
    assert set(PUBLISHED) - set(READ) == TOKENS
    for operation in set(PUBLISHED) - TOKENS:
        read = [reading.payload for reading in all_of(operation)]
        for payload in published(promises()[operation]):
            assert data(payload) in read or payload in read, operation


def test_every_model_is_read() -> None:
    reached: set[type] = set()
    for operation in READ:
        for reading in all_of(operation):
            collect(reading.kind, reached)
    modules = [import_module(f"tallyfy_async.models.{one.name}") for one in iter_modules(models.__path__)]
    known = {kind for module in (*modules, *MODULES) for kind in vars(module).values() if is_model(kind)}
    assert known - reached == {Model}


def is_model(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Model)


def collect(kind: Any, found: set[type]) -> None:
    """Add the models in a kind and in the fields of its models."""
    for part in get_args(kind):
        collect(part, found)
    if is_model(kind) and kind not in found:
        found.add(kind)
        for hint in get_type_hints(kind, include_extras=True).values():
            collect(hint, found)


@pytest.mark.parametrize("operation", READ)
def test_nothing_of_an_example_is_lost(operation: str) -> None:
    for reading in all_of(operation):
        before = copy.deepcopy(reading.payload)
        read = structure(reading.payload, reading.kind)
        back = unstructure(read)
        assert same(before, back), back
        assert structure(back, reading.kind) == read
        assert reading.payload == before
        json.dumps(back, allow_nan=False)


REASONS: dict[str, str] = {
    "the body of an error: tests/protocol/test_response.py": """
        Error OAuthError RateLimitError SeatPoolError ValidationError""",
    "the value of a field, which models keep as it is: tests/models/test_forms.py": """
        AssigneesFormValue DateValue DropdownValue EmailValue FieldValueMap FileValue MultiselectValue RadioValue
        TableValue TextValue TextareaValue""",
    "made from a method's own parameters: tests/contract/test_requests.py": """
        CaptureValueWrite ChecklistClone CommentCreate CustomFieldValueWrite CustomFieldsWrite FolderObjectCreate
        FormFieldValueWrite MicroDeadline MicroStepType RunCreate StepReorder TagAttach TaskComplete ThreadResolve
        WatcherCreate""",
    "an input whose wire format is not what programs pass: tests/contract": "RunUpdate StepCreate TaskCreate",
    "a mapping whose keys are data, kept as it is": "CustomFieldValues OrganizationSettings",
    "taken apart before anything is read: tests/protocol/test_response.py": "Pagination SearchResponse",
    "a token: tests/auth/test_token.py": "Token",
    "sent to webhooks, answered by no call": """
        WebhookCapture WebhookFlatFields WebhookGuestLinks WebhookPerson WebhookProcessPayload WebhookTaskIds
        WebhookTaskPayload""",
}
LEFT_OUT = {name for names in REASONS.values() for name in names.split()}
SCHEMAS = {name: one["example"] for name, one in contract()["components"]["schemas"].items() if "example" in one}


def test_no_example_of_a_schema_is_left_out_without_a_reason() -> None:
    assert set(SCHEMAS) >= LEFT_OUT
    assert all(hasattr(models, name) for name in set(SCHEMAS) - LEFT_OUT)
    assert not [name for name in LEFT_OUT if is_model(getattr(models, name, None))]


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - LEFT_OUT))
def test_the_example_of_a_schema_is_read_or_written(name: str) -> None:
    kind, payload = getattr(models, name), SCHEMAS[name]
    if is_model(kind):
        assert same(payload, unstructure(structure(payload, kind)))
    else:
        assert same(payload, write(kind, payload, what=name))


def mutations(value: Any) -> list[Any]:
    """Return what PHP, or a careless change of the server, makes of a value."""
    swapped: list[Any] = [str(value)] if isinstance(value, int | float) else []
    swapped += [int(value)] if isinstance(value, str) and value.isdecimal() and value.isascii() else []
    swapped += [list(value.values())] if isinstance(value, dict) else []
    keyed = {str(key): one for key, one in enumerate(value)} if isinstance(value, list) else value
    return [*swapped, keyed, [value], {"data": value}, {"data": value, "meta": {}}, *ODD]


def without(node: Any, path: tuple[Any, ...]) -> Any:
    """Return a copy that lacks the entry at a path."""
    if len(path) > 1:
        return replaced(node, path[:-1], without(at(node, path[:-1]), path[-1:]))
    if isinstance(node, dict):
        return {key: value for key, value in node.items() if key != path[0]}
    return [value for number, value in enumerate(node) if number != path[0]]


def at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


@st.composite
def mutated(draw: st.DrawFn, payload: Any) -> Any:
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(payload)))
        if path and draw(st.integers(0, 4)) == 0:
            payload = without(payload, path)
        else:
            payload = replaced(payload, path, draw(st.sampled_from(mutations(at(payload, path)))))
    return payload


def hold(reading: Reading) -> None:
    """Read mutations: what comes out is a model that has lost nothing, or a DecodeError."""

    @settings(max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(payload=mutated(reading.payload))
    def attempt(payload: Any) -> None:
        try:
            read = structure(payload, reading.kind, path="data")
        except DecodeError as error:
            assert error.path.startswith("data")  # noqa: PT017
            assert error.__context__ is None  # noqa: PT017
        else:
            back = unstructure(read)
            json.dumps(back)
            assert same(payload, back) or payload == []

    attempt()


@pytest.mark.parametrize("operation", READ)
def test_a_mutated_reply_is_a_model_or_a_decode_error(operation: str) -> None:
    for reading in all_of(operation):
        hold(reading)


@pytest.mark.parametrize("payload", [{"guests": [None]}, {"groups": [None, "g"]}, {"users": [None]}, {"users": [[]]}])
def test_a_reference_that_is_nothing_is_a_decode_error(payload: Any) -> None:
    with pytest.raises(DecodeError):
        structure(payload, models.Owners)
