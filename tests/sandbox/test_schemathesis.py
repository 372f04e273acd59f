"""Schemathesis against the sandbox: calls that it makes up, each alone and in chains, judged by the contract.

Where a call goes and what it carries starts, mostly, from what the client really sends for a row of tests/contract, so
that handlers are reached; schemathesis changes it, replaces it, or breaks it on purpose. The judge knows no ``default``
response: a status that an operation does not name is a failure.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import anyio
import httpx
import pytest
import schemathesis
from attrs import define, field
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
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

from tallyfy_async.sandbox import Sandbox, Settings
from tallyfy_async.sandbox.routes import build
from tests.contract.document import promises, with_both_spellings
from tests.sandbox.sent import Sent, accepted

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 5
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
    """Return the document without ``default`` responses, and with types that schemathesis' search for links can read."""
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
    """Return a schema once for each type it allows; a list of types within an alternative is more than is understood."""
    kinds = schema.get("type")
    return [{**schema, "type": kind} for kind in kinds] if isinstance(kinds, list) else [schema]


def legible(document: Any) -> Any:
    """Return the served contract as it is given to schemathesis."""
    copied = judged(with_both_spellings(document))
    schemas = copied["components"]["schemas"]
    for name, schema in schemas.items():
        parts = of_one_type(schema)
        schemas[name] = schema if len(parts) == 1 else {"anyOf": parts}
    return copied


@cache
def contract() -> Any:
    """Return the contract that the sandbox serves, as schemathesis loads it."""

    async def document() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(RELAY.fresh().app)) as http:
            return (await http.get("http://testserver/openapi.json")).json()

    loaded = schemathesis.openapi.from_dict(legible(anyio.run(document)))
    loaded.app = RELAY
    return loaded


@cache
def operations() -> dict[str, Any]:
    found = [result.ok() for result in contract().get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


def tags() -> list[str]:
    served = {one.name for one in build().operations}
    return sorted({one.details["tags"][0] for one in promises().values() if one.id in served})


def of_tag(tag: str) -> dict[str, Any]:
    return {name: one for name, one in operations().items() if promises()[name].details["tags"][0] == tag}


@define
class Outcome:
    """What came of the calls of one test."""

    statuses: Counter[int] = field(factory=Counter[int])
    problems: list[str] = field(factory=list[str])

    @property
    def accepted(self) -> float:
        """Return the share of calls that the sandbox accepted."""
        good = sum(count for status, count in self.statuses.items() if status < 400)
        return good / self.statuses.total()

    def call(self, case: Any, token: str, checks: list[Any] = CHECKS) -> int:
        headers = {"X-Tallyfy-Client": "Test", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        reply = case.call(headers=headers, allow_redirects=False)
        self.statuses[reply.status_code] += 1
        try:
            case.validate_response(reply, checks=checks, headers=headers, transport_kwargs={"headers": headers})
        except FailureGroup as group:
            self.problems += [
                f"{case.operation.label} {case.path_parameters} {case.query} {case.body!r}: {reply.status_code} {one}"
                for one in group.exceptions
            ]
        return int(reply.status_code)


def exactly(operation: Any, sent: Sent) -> Any:
    """Return the call that the sandbox accepts as a case of schemathesis."""
    body = {} if sent.media_type is None else {"body": sent.body, "media_type": sent.media_type}
    return operation.Case(path_parameters=dict(sent.path), query=dict(sent.query), **body)


@st.composite
def cases(draw: st.DrawFn, generated: dict[GenerationMode, st.SearchStrategy[Any]], sent: Sent) -> Any:
    """Draw a case that schemathesis made up, and put most of what the sandbox accepts in its place."""
    case = draw(generated[draw(st.sampled_from(sorted(generated, key=str)))])
    case.path_parameters = {
        name: sent.path[name] if name == "org" or draw(st.integers(0, 7)) else given
        for name, given in (case.path_parameters or {}).items()
    }
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
    guarded = [ignored_auth] if sent.token else []
    status = outcome.call(exactly(operation, sent), sent.token, [*CHECKS, *guarded])
    if status >= 400:
        outcome.problems.append(f"{name}: {status} for a call that is right")
    generated = {mode: operation.as_strategy(generation_mode=mode) for mode in MODES}

    @BOUNDED
    @given(case=cases(generated, sent))
    def run(case: Any) -> None:
        outcome.call(case, sent.token)

    run()


@pytest.mark.parametrize("tag", tags())
def test_made_up_calls_are_answered_as_the_contract_says(tag: str) -> None:
    outcome = Outcome()
    for name, operation in of_tag(tag).items():
        try_out(operation, name, outcome)
    assert not outcome.problems, "\n".join(outcome.problems)
    assert outcome.accepted > 0.4, outcome.statuses
