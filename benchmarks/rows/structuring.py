"""A page of 100 tasks from bytes to models, against the official SDK, msgspec and pydantic.

All start from the same body. Our models check types, read dates and keep unknown keys. The official ``from_dict``
leaves dates as text and checks nothing; it decodes with the standard library, as it does over requests. A msgspec
Struct, decoded without a step between, checks types and reads dates, and drops unknown keys. A pydantic model does all
three. Both peers have the fields of our task; the members of the owners, which are objects in ours, are left bare.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from time import perf_counter
from types import NoneType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from benchmarks.harness import Goal, Line, RowError, alternate, peer
from benchmarks.payload import PER_PAGE, Pages, task_id
from tallyfy_async import models
from tallyfy_async.protocol.converter import structure

_TIMES = 20
_KIND = tuple[models.Task, ...]
_PLAIN = {str, int, float, bool, datetime, NoneType, dict[str, Any]}

Reader = Callable[[bytes], Any]


def _of(read: Reader, body: bytes) -> Callable[[], float]:
    def measured() -> float:
        """Return milliseconds for a page, the best of some."""
        best = float("inf")
        for _ in range(_TIMES):
            started = perf_counter()
            read(body)
            best = min(best, perf_counter() - started)
        return best * 1e3

    return measured


def _plain(kind: Any) -> Any:
    """Return a field's type as peers know it: plain types as they are, what the page does not have as Any."""
    members = [get_args(one)[0] if get_origin(one) is Annotated else one for one in _members(kind)]
    return Union[tuple(members)] if all(one in _PLAIN for one in members) else Any  # noqa: UP007 - of many


def _members(kind: Any) -> tuple[Any, ...]:
    return (kind,) if get_origin(kind) is Annotated else get_args(kind) or (kind,)


def fields(owners: type) -> dict[str, Any]:
    """Return the fields of our task with the types that peers read, name -> type."""
    hints = get_type_hints(models.Task, include_extras=True)
    skipped = {"extra", "owners"} | {name for name in hints if name.startswith("_")}
    return {name: _plain(kind) for name, kind in hints.items() if name not in skipped} | {"owners": owners}


def msgspec_reader() -> Reader:
    """Return what decodes a page into msgspec Structs."""
    msgspec = peer("msgspec")
    buckets = [("users", list[int]), ("guests", list[str]), ("groups", list[str])]
    owners = msgspec.defstruct("Owners", buckets)
    known = fields(owners)
    required = [(name, known.pop(name)) for name in ("id", "title")]
    task = msgspec.defstruct("Task", [*required, *((name, kind, None) for name, kind in known.items())])
    page = msgspec.defstruct("Page", [("data", list[task])])
    read: Reader = msgspec.json.Decoder(page).decode
    return read


def pydantic_reader() -> Reader:
    """Return what decodes a page into pydantic models that keep unknown keys."""
    pydantic = peer("pydantic")
    keep = pydantic.ConfigDict(extra="allow")
    buckets = {"users": (list[int], ...), "guests": (list[str], ...), "groups": (list[str], ...)}
    owners = pydantic.create_model("Owners", __config__=keep, **buckets)
    known = fields(owners)
    required = {name: (known.pop(name), ...) for name in ("id", "title")}
    optional = {name: (kind, None) for name, kind in known.items()}
    task = pydantic.create_model("Task", __config__=keep, **required, **optional)
    read: Reader = pydantic.create_model("Page", __config__=keep, data=(list[task], ...)).model_validate_json
    return read


def check(name: str, tasks: Any, *, dates: bool) -> None:
    """Check that a side made what it claims; raise RowError otherwise."""
    if [one.id for one in tasks] != [task_id(index) for index in range(PER_PAGE)]:
        msg = f"{name} did not make the page's tasks"
        raise RowError(msg)
    if dates and not all(isinstance(one.deadline, datetime) for one in tasks):
        msg = f"{name} did not read the dates"
        raise RowError(msg)


def measure(rounds: int) -> Iterator[Line]:
    """Measure decoding and structuring with both JSON libraries, and the peers."""
    orjson, official = peer("orjson"), peer("tallyfy.models")

    def from_dict(content: bytes) -> Any:
        return [official.Task.from_dict(entry) for entry in json.loads(content)["data"]]

    def with_json(content: bytes) -> Any:
        return structure(json.loads(content)["data"], _KIND)

    def with_orjson(content: bytes) -> Any:
        return structure(orjson.loads(content)["data"], _KIND)

    body, struct, model = Pages(1).encode(1), msgspec_reader(), pydantic_reader()
    check("tallyfy", from_dict(body), dates=False)
    check("ours", with_orjson(body), dates=True)
    check("msgspec", struct(body).data, dates=True)
    check("pydantic", model(body).data, dates=True)
    readers = (from_dict, with_json, with_orjson, struct, model)
    sdk, plain, fast, structs, validated = alternate(rounds, *(_of(read, body) for read in readers))
    for case, ours, theirs, goal in (
        ("100 tasks with json, against tallyfy", plain, sdk, Goal(0.6, stretch=0.5)),
        ("100 tasks with orjson, against tallyfy", fast, sdk, Goal(0.4, stretch=0.3)),
        ("100 tasks with orjson, against msgspec", fast, structs, Goal(5, stretch=3.5)),
        ("100 tasks with orjson, against pydantic", fast, validated, Goal(1, stretch=0.75)),
    ):
        yield Line(row="structuring", case=case, unit="ms", ours=ours, peer=theirs, goal=goal)
