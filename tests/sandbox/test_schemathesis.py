"""Schemathesis against the sandbox: calls that it makes up, each alone and in chains, judged by the contract.

Where a call goes and what it carries starts, mostly, from what the client really sends for a row of tests/contract, so
that handlers are reached; schemathesis changes it, replaces it, or breaks it on purpose. The judge knows no ``default``
response: a status that an operation does not name is a failure.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import anyio
import httpx
import pytest
import schemathesis
from attrs import define, field
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tallyfy_async.sandbox import Fault, Sandbox, Settings
from tallyfy_async.sandbox.routes import build
from tallyfy_async.sandbox.world import Tenant
from tests.contract.document import as_judged, promises
from tests.sandbox.sent import MULTIPART, Sent, accepted

pytestmark = pytest.mark.once

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CONFIG = schemathesis.Config.from_dict(
    {"generation": {"with-security-parameters": False}, "analysis": {"constants": {"enabled": False}}}
)
"""Every call but those of ignored_auth is signed; nothing is read out of the sandbox's source."""
EXAMPLES = 4
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NOW = 1_793_600_000.0


class Relay:
    """The application that schemathesis calls: a sandbox that each test puts behind it."""

    sandbox: Sandbox

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.sandbox.app(scope, receive, send)

    def fresh(self) -> Sandbox:
        self.sandbox = Sandbox(Settings(templates=3, runs=30, tasks=250, users=5), clock=lambda: NOW)
        return self.sandbox


RELAY = Relay()


def judged(node: Any) -> Any:
    """Return the document without ``default`` responses, its types spelled so that links can be inferred."""
    if isinstance(node, list):
        return [judged(part) for part in node]
    if not isinstance(node, dict):
        return node
    copied = {key: judged(part) for key, part in node.items()}
    if isinstance(copied.get("responses"), dict):
        copied["responses"].pop("default", None)
    for word in {"oneOf", "anyOf"} & copied.keys():
        copied[word] = [one for part in copied[word] for one in of_one_type(part)]
    if isinstance(copied.get("items"), dict) and len(of_one_type(copied["items"])) > 1:
        copied["items"] = {"anyOf": of_one_type(copied["items"])}
    return copied


def of_one_type(schema: Any) -> list[Any]:
    """Return a schema once for each type it allows; the inference of links fails at lists of types in alternatives."""
    kinds = schema.get("type")
    return [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else [schema]


def legible(document: Any) -> Any:
    """Return the served contract as it is given to schemathesis."""
    copied = judged(as_judged(document))
    schemas = copied["components"]["schemas"]
    for name, schema in schemas.items():
        parts = of_one_type(schema)
        schemas[name] = schema if len(parts) == 1 else {"anyOf": parts}
    return copied


@cache
def contract() -> Any:
    """Return the contract that the sandbox serves, as schemathesis loads it."""

    async def document() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Relay().fresh().app)) as http:
            return (await http.get("http://testserver/openapi.json")).json()

    loaded = schemathesis.openapi.from_dict(legible(anyio.run(document)), config=CONFIG)
    loaded.app = RELAY
    return loaded


@cache
def operations() -> dict[str, Any]:
    found = [result.ok() for result in contract().get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


def parts() -> dict[str, list[str]]:
    """Return the served operations by their tag; those of small tags together."""
    served = sorted(one.name for one in build().operations if one.name in promises())
    sizes = Counter(promises()[name].details["tags"][0] for name in served)
    found: dict[str, list[str]] = {}
    for name in served:
        tag = promises()[name].details["tags"][0]
        found.setdefault(tag if sizes[tag] >= 5 else "others", []).append(name)
    return found


@define
class Outcome:
    """What came of the calls of one test."""

    statuses: Counter[int] = field(factory=Counter[int])
    problems: list[str] = field(factory=list[str])
    linked: int = 0
    """Calls that took something from the reply of an earlier one."""

    @property
    def accepted(self) -> float:
        """Return the share of calls that the sandbox accepted."""
        good = sum(count for status, count in self.statuses.items() if status < 400)
        return good / self.statuses.total()

    def send(self, case: Any, token: str) -> Any:
        headers = {"X-Tallyfy-Client": "Test", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        reply = case.call(headers=headers, allow_redirects=False, **attached(case))
        self.statuses[reply.status_code] += 1
        return reply

    def judge(self, case: Any, reply: Any, checks: list[Any], **more: Any) -> None:
        try:
            case.validate_response(reply, checks=checks, **more)
        except FailureGroup as group:
            sent = f"{case.operation.label} {case.path_parameters} {case.query} {case.body!r}"
            self.problems += [f"{sent}: {reply.status_code} {one}" for one in group.exceptions]


def attached(case: Any) -> dict[str, Any]:
    """Give the file of a form a name: schemathesis names it like the field, which is a file of no type."""
    if case.media_type != MULTIPART or not isinstance(case.body, dict):
        return {}
    raw = {name: getattr(given, "data", given) for name, given in case.body.items()}
    files = {name: ("notes.txt", given) for name, given in raw.items() if isinstance(given, bytes)}
    return {"files": files, "data": {name: raw[name] for name in raw if name not in files}} if files else {}


def exactly(operation: Any, sent: Sent) -> Any:
    """Return the call that the sandbox accepts as a case of schemathesis."""
    body = {} if sent.media_type is None else {"body": sent.body, "media_type": sent.media_type}
    return operation.Case(path_parameters=dict(sent.path), query=dict(sent.query), **body)


@st.composite
def cases(draw: st.DrawFn, generated: dict[GenerationMode, st.SearchStrategy[Any]], sent: Sent) -> Any:
    """Draw a case that schemathesis made up, and put most of what the sandbox accepts in its place."""
    case = draw(generated[draw(st.sampled_from(sorted(generated, key=str)))])
    made_up = draw(st.sampled_from([None, None, None, *sorted(sent.path.keys() - {"org"})]))
    case.path_parameters = {**sent.path, **{name: case.path_parameters[name] for name in [made_up] if name}}
    if draw(st.booleans()):
        case.query = {**(case.query or {}), **sent.query}
    if isinstance(sent.body, dict) and isinstance(case.body, dict) and sent.media_type == case.media_type:
        mine = draw(st.sampled_from(["all", "most", "none"]))
        new = [name for name in case.body if name not in sent.body]
        if mine == "all":
            case.body = {**case.body, **sent.body}
        elif mine == "most" and case.body:
            changed = draw(st.sampled_from(sorted(case.body)))
            case.body = {**sent.body, **{name: case.body[name] for name in [changed, *new]}}
    return case


def try_out(operation: Any, name: str, outcome: Outcome) -> None:
    """Make the call that is accepted, and calls made up around it, on a sandbox of their own."""
    sandbox = RELAY.fresh()
    sent = anyio.run(accepted, sandbox, name)
    guarded = [] if promises()[name].details.get("x-auth") == "none" else [ignored_auth]
    case = exactly(operation, sent)
    reply = outcome.send(case, sent.token)
    assert reply.status_code < 400, (name, reply.text)
    headers = {"X-Tallyfy-Client": "Test", "Authorization": f"Bearer {sent.token}"}
    outcome.judge(case, reply, [*CHECKS, *guarded], headers=headers, transport_kwargs={"headers": headers})
    generated = {mode: operation.as_strategy(generation_mode=mode) for mode in MODES}

    @BOUNDED
    @given(case=cases(generated, sent))
    def run(case: Any) -> None:
        outcome.judge(case, outcome.send(case, sent.token), CHECKS)

    run()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": {"message": "x"}},
        {"status": 418, "body": {"message": "x"}},
        {"status": 200, "body": {"data": {"id": 1}}},
        {"status": 200, "body": "{}", "content_type": "text/html"},
    ],
    ids=["server error", "undocumented status", "schema", "content type"],
)
def test_the_judge_sees_what_is_wrong(fault: dict[str, Any]) -> None:
    sandbox, outcome = RELAY.fresh(), Outcome()
    case = exactly(operations()["get_run"], anyio.run(accepted, sandbox, "get_run"))
    outcome.judge(case, outcome.send(case, sandbox.credentials.personal_token), CHECKS)
    assert not outcome.problems
    sandbox.faults.add(Fault(operation="get_run", times=None, **fault))
    outcome.judge(case, outcome.send(case, sandbox.credentials.personal_token), CHECKS)
    assert outcome.problems


@pytest.mark.parametrize("part", sorted(parts()))
def test_made_up_calls_are_answered_as_the_contract_says(part: str) -> None:
    outcome = Outcome()
    for name in parts()[part]:
        try_out(operations()[name], name, outcome)
    assert not outcome.problems, "\n".join(outcome.problems)
    assert outcome.accepted > 0.2, outcome.statuses


CHAINS = {
    "work": ("runs", "tasks", "threads", "assets", "process-views"),
    "templates": ("checklists", "steps", "captures", "preruns", "automated-actions", "tags", "folders"),
    "people": ("users", "guests", "groups", "roles", "me", "webhooks", "custom-fields"),
}


ROWS_OF = {
    "asset_id": "assets",
    "checklist_id": "checklists",
    "folder_id": "folders",
    "group_id": "groups",
    "role_id": "roles",
    "run_id": "runs",
    "tag_id": "tags",
    "task_id": "tasks",
    "user_id": "members",
    "view_id": "process_views",
    "watcher_id": "watchers",
}
"""Name of an id -> the rows of a tenant that it names."""


def known_ids(tenant: Tenant) -> set[str]:
    """Return every id that a path can name."""
    steps = [step for checklist in tenant.checklists.values() for step in checklist.steps]
    rows = [str(key) for name in ROWS_OF.values() for key in getattr(tenant, name)]
    rows += [part.id for checklist in tenant.checklists.values() for part in (*checklist.prerun, *checklist.rules)]
    rows += [part.id for step in steps for part in (step, *step.captures)]
    return {*rows, *tenant.guests, *(guest.code for guest in tenant.guests.values())}


def real_ids(tenant: Tenant, rng: random.Random) -> dict[str, str]:
    """Return ids of live rows that belong together, by the names of path parameters."""

    def some(rows: Iterable[Any]) -> Any:
        found = list(rows)
        return rng.choice(found) if found else None

    checklist = some(one for one in tenant.checklists.values() if one.archived_at is None)
    step = some(checklist.steps) if checklist else None
    run = some(one for one in tenant.runs.values() if one.archived_at is None)
    guest = some(tenant.guests.values())
    parts = {"prerun_id": some(checklist.prerun), "automated_id": some(checklist.rules)} if checklist else {}
    parts |= {"checklist_id": checklist, "step_id": step, "capture_id": some(step.captures) if step else None}
    found = {name: some(getattr(tenant, of)) for name, of in ROWS_OF.items()}
    found |= {name: part and part.id for name, part in {**parts, "run_id": run}.items()}
    found["task_id"] = some(run.task_ids) if run else None
    found |= dict.fromkeys(("guest_code", "guest_id"), guest and guest.code)
    found |= dict.fromkeys(("email", "guest_email"), guest and guest.email)
    return {"org": tenant.id, **{name: str(id_) for name, id_ in found.items() if id_ is not None}}


def chain(tags: tuple[str, ...], outcome: Outcome) -> type[RuleBasedStateMachine]:
    """Return the state machine of some tags; ids that name nothing are replaced, mostly, before a call is made.

    There is no use_after_free, because DELETE archives most rows and archived rows can be read; nor
    ensure_resource_availability, which takes an id that stands for another one for the one that was made.
    """
    machine: Any = contract().include(tag=list(tags)).as_state_machine()

    class Chain(machine):  # type: ignore[misc]
        def setup(self) -> None:
            self.rng = random.Random(0)  # the same steps must give the same replies again
            self.sandbox = RELAY.fresh()

        def step(self, input: Any) -> Any:  # noqa: A002 - schemathesis names it
            outcome.linked += input.transition is not None and input.is_applied
            return super().step(input)

        def before_call(self, case: Any) -> None:
            mine = self.sandbox.credentials
            tenant = self.sandbox.world.tenants[mine.organization]
            known, real = known_ids(tenant), real_ids(tenant, self.rng)
            for name, value in (case.path_parameters or {}).items():
                said = value if value in known else unquote(str(value))
                if name == "org" or (said not in known and self.rng.random() < 0.9):
                    said = real.get(name, said)
                case.path_parameters[name] = quote(said, safe="")

        def call(self, case: Any, **_: Any) -> Any:
            return outcome.send(case, self.sandbox.credentials.personal_token)

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            outcome.judge(case, response, CHECKS)

    return Chain


@pytest.mark.parametrize("part", CHAINS)
def test_chains_of_calls_are_answered_as_the_contract_says(part: str) -> None:
    outcome = Outcome()
    run_state_machine_as_test(
        chain(CHAINS[part], outcome), settings=settings(BOUNDED, max_examples=6, stateful_step_count=20)
    )
    assert not outcome.problems, "\n".join(outcome.problems)
    assert outcome.accepted > 0.3, outcome.statuses
    assert outcome.linked > outcome.statuses.total() / 3, outcome.linked
