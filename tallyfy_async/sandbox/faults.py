"""The script of faults: which requests go wrong, how, and how often."""

import json
import random
import re
import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar

from attrs import define, evolve, field, fields, frozen, validators

from .exchange import Reply, encode
from .records import is_list, is_object

Profile = Literal["none", "some", "many"]
Stage = Literal["before", "after"]
Kind = TypeVar("Kind", "Fault", "DeliveryFault")


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "$unset"

    def __repr__(self) -> str:
        """Show the name under which it is imported."""
        return "UNSET"


UNSET: Final = Unset.UNSET
"""In `Fault.patch`: remove the key. In JSON scripts: {"$unset": true}."""


@frozen(kw_only=True)
class Fault:
    """Say which requests go wrong and how.

    A request matches when method, path and operation match (those that are given): `path` is a prefix of the path
    below the base (`/organizations/…`, `/oauth/token`), or a regular expression when it starts with ^; `operation` is
    the contract's name (`create_token`, `list_runs`). The first `after` matches pass, then it strikes `times` times
    (None: for ever), each time with `probability`.

    Effects: `delay` seconds first; `revoke` the presented access token; then the operation runs, unless `status` or
    `body` answer in its place at stage "before" (stage "after": its effect happens and its answer is lost). `patch` is
    merged into the JSON of the real reply. `delay_after` seconds pass before the reply goes out. Both delays are real
    time, whatever the sandbox's clock says.
    """

    method: str | None = None
    path: str | None = None
    operation: str | None = None
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    status: int | None = None
    body: Any = UNSET
    """Text and bytes go out as they are, anything else as JSON."""
    content_type: str | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str])
    delay: float = 0.0
    delay_after: float = 0.0
    stage: Stage = "before"
    patch: Mapping[str, Any] = field(factory=dict[str, Any])
    revoke: bool = False

    def matches(self, method: str, path: str, operation: str | None) -> bool:
        """Tell whether a request is of the described kind."""
        if self.method is not None and self.method.upper() != method:
            return False
        if self.operation is not None and self.operation != operation:
            return False
        if self.path is None:
            return True
        return bool(re.search(self.path, path)) if self.path.startswith("^") else path.startswith(self.path)

    @property
    def answers(self) -> bool:
        """Tell whether the fault answers in the place of the operation."""
        return self.status is not None or self.body is not UNSET

    def reply(self) -> Reply:
        """Return the answer."""
        status = 200 if self.status is None else self.status
        body = {"message": "Server Error"} if self.body is UNSET else self.body
        if self.status == 429 and self.body is UNSET:
            body = {"message": "Too Many Attempts."}
        if isinstance(body, (str, bytes)):
            data, kind = body.encode() if isinstance(body, str) else body, "text/html; charset=UTF-8"
        else:
            data, kind = encode(body), "application/json"
        return Reply(status=status, body=data, content_type=self.content_type or kind, headers=self.headers)

    def patched(self, reply: Reply) -> Reply:
        """Merge the patch into the JSON of a reply, and add the headers."""
        data = reply.json()
        body = encode(merge(data, self.patch)) if is_object(data) and self.patch else reply.body
        return evolve(reply, body=body, headers={**reply.headers, **self.headers})


@frozen(kw_only=True)
class DeliveryFault:
    """Say which webhooks go astray and how.

    A webhook matches when `url` (a prefix, or a regular expression when it starts with ^) and `event`
    (`process.launched`, `task.completed`, …, `rule.emitted` for automations) match, those that are given. `after`,
    `times` and `probability` are those of Fault.

    Effects: `copies` 0 loses it, 2 posts it twice; `late` lets so many later webhooks to the same URL pass first (it
    goes at the latest when somebody waits for the deliveries); `delay` posts it that many seconds later, in no order.
    """

    url: str | None = None
    event: str | None = None
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    copies: int = field(default=1, validator=validators.ge(0))
    late: int = field(default=0, validator=validators.ge(0))
    delay: float = field(default=0.0, validator=validators.ge(0))

    def matches(self, url: str, event: str) -> bool:
        """Tell whether a webhook is of the described kind."""
        if self.event is not None and self.event != event:
            return False
        if self.url is None:
            return True
        return bool(re.search(self.url, url)) if self.url.startswith("^") else url.startswith(self.url)


def merge(data: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Merge maps deeply; UNSET removes a key, None is a null."""
    merged = dict(data)
    for name, value in patch.items():
        if value is UNSET:
            merged.pop(name, None)
        elif is_object(value) and is_object(merged.get(name)):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def from_json(rows: object) -> list[Fault | DeliveryFault]:
    """Read a script of faults, `{"webhook": {…}}` for deliveries; raise ValueError that names what is wrong."""
    if not is_list(rows):
        raise ValueError("a list of faults is expected")
    return [_fault(row) for row in rows]


def _fault(row: object) -> Fault | DeliveryFault:
    if not is_object(row):
        raise ValueError("a fault is an object")
    if set(row) == {"webhook"} and is_object(row["webhook"]):
        return DeliveryFault(**_known(DeliveryFault, row["webhook"]))
    return Fault(**{name: _unmark(value) for name, value in _known(Fault, row).items()})


def _known(kind: type[Fault] | type[DeliveryFault], row: dict[str, Any]) -> dict[str, Any]:
    known = [attribute.name for attribute in fields(kind)]
    unknown = sorted(set(row) - set(known))
    if unknown:
        raise ValueError(f"unknown keys {unknown}; known are {known}")
    return row


def _unmark(value: Any) -> Any:
    if value == {"$unset": True}:
        return UNSET
    return {name: _unmark(v) for name, v in value.items()} if is_object(value) else value


@define(eq=False)
class _Armed(Generic[Kind]):
    fault: Kind
    matched: int = 0
    struck: int = 0

    def strikes(self, rng: random.Random) -> bool:
        self.matched += 1
        spent = self.fault.times is not None and self.struck >= self.fault.times
        if spent or self.matched <= self.fault.after or rng.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True


def _burst(probability: float, wait: str) -> Fault:
    headers = {"Retry-After": wait}
    return Fault(path="/organizations/", times=None, probability=probability, status=429, headers=headers)


def _down(probability: float) -> Fault:
    return Fault(method="GET", path="/organizations/", times=None, probability=probability, status=503)


PROFILES: Mapping[Profile, tuple[Fault, ...]] = {
    "none": (),
    "some": (_burst(0.03, "0"), _down(0.02), _burst(0.003, "1")),
    "many": (_burst(0.10, "0"), _down(0.06), _burst(0.01, "1")),
}
"""Bad weather on API calls, never on the token endpoint; writes only meet 429, which is always safe to repeat."""


class Faults:
    """The faults of one sandbox. Scripted ones come first, in the order they were added; then the weather."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._lock = threading.Lock()
        self._script: list[_Armed[Fault]] = []
        self._weather: list[_Armed[Fault]] = []
        self._deliveries: list[_Armed[DeliveryFault]] = []
        self._last: dict[tuple[str, str], int] = {}
        self.struck = 0

    def add(self, *faults: Fault | DeliveryFault) -> None:
        """Append faults to the script, those of requests and those of webhooks."""
        with self._lock:
            self._script += [_Armed(fault) for fault in faults if isinstance(fault, Fault)]
            self._deliveries += [_Armed(fault) for fault in faults if isinstance(fault, DeliveryFault)]

    def clear(self) -> None:
        """Forget the script and the weather."""
        with self._lock:
            self._script, self._weather, self._deliveries = [], [], []

    def profile(self, name: Profile) -> None:
        """Choose the weather: none, some or many random 429 and 503. No call is hit more than twice in a row."""
        with self._lock:
            self._weather = [_Armed(fault) for fault in PROFILES[name]]
            self._last = {}

    def remaining(self) -> list[dict[str, Any]]:
        """Describe the script with what has matched and struck so far."""
        requests = [
            {"operation": a.fault.operation, "path": a.fault.path, "matched": a.matched, "struck": a.struck}
            for a in self._script
        ]
        return requests + [
            {"webhook": {"url": a.fault.url, "event": a.fault.event}, "matched": a.matched, "struck": a.struck}
            for a in self._deliveries
        ]

    def pick(self, method: str, path: str, operation: str | None, target: str) -> Fault | None:
        """Choose the fault that strikes this request, if any. `target` tells repeated calls from different ones."""
        with self._lock:
            fault = self._first(self._script, method, path, operation)
            if fault is None and self._weather:
                fault = self._storm(method, path, operation, (method, target))
            self.struck += fault is not None
            return fault

    def pick_delivery(self, url: str, event: str) -> DeliveryFault | None:
        """Choose the fault that strikes this webhook, if any."""
        with self._lock:
            for one in self._deliveries:
                if one.fault.matches(url, event) and one.strikes(self._rng):
                    self.struck += 1
                    return one.fault
        return None

    def _first(self, armed: Iterable[_Armed[Fault]], method: str, path: str, operation: str | None) -> Fault | None:
        for one in armed:
            if one.fault.matches(method, path, operation) and one.strikes(self._rng):
                return one.fault
        return None

    def _storm(self, method: str, path: str, operation: str | None, key: tuple[str, str]) -> Fault | None:
        in_a_row = self._last.pop(key, 0)
        fault = self._first(self._weather, method, path, operation) if in_a_row < 2 else None
        if fault is not None:
            self._last[key] = in_a_row + 1
        return fault


def parse(text: bytes) -> list[Fault | DeliveryFault]:
    """Read a script from JSON text; raise ValueError when it is none."""
    return from_json(json.loads(text))
