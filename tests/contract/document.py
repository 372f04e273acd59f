"""The contract as the proofs see it: openapi-core judges requests and replies, strictness about names is added here."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, unquote

from attrs import frozen
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

HOST = "http://contract"
JSON = "application/json"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"


@cache
def contract() -> Any:
    return json.loads(files("tallyfy_async.sandbox").joinpath("openapi.json").read_bytes())


@frozen(kw_only=True)
class Promise:
    """One operation of the contract."""

    id: str
    method: str
    path: str
    details: Any

    @property
    def confidence(self) -> str:
        return str(self.details["x-confidence"])

    @property
    def answers(self) -> dict[str, Any]:
        """Return status -> response of every success."""
        return {status: answer for status, answer in self.details["responses"].items() if status.startswith("2")}


@cache
def promises() -> dict[str, Promise]:
    return {
        details["operationId"]: Promise(id=details["operationId"], method=method.upper(), path=path, details=details)
        for path, entry in contract()["paths"].items()
        for method, details in entry.items()
        if isinstance(details, dict) and "operationId" in details
    }


def find(method: str, path: str) -> Promise | None:
    """Return the operation of a path below the base; fixed words win over parameters."""
    segments = path.strip("/").split("/")
    fitting = [
        one for one in promises().values() if one.method == method and _fits(one.path.strip("/").split("/"), segments)
    ]
    return min(fitting, key=lambda one: one.path.count("{"), default=None)


def _fits(parts: list[str], segments: list[str]) -> bool:
    return len(parts) == len(segments) and all(
        part.startswith("{") or part == unquote(segment) for part, segment in zip(parts, segments, strict=True)
    )


def as_judged(node: Any) -> Any:
    """Return a document as its judges need it.

    They take a moment in the request format where the contract has seen both formats, and bytes for what is binary.
    """
    if isinstance(node, list):
        return [as_judged(part) for part in node]
    if not isinstance(node, dict):
        return node
    copied = {key: as_judged(part) for key, part in node.items()}
    if copied.get("x-date") == "both-seen" and copied.get("format") == "date-time":
        copied["anyOf"] = [{"format": copied.pop("format")}, {"pattern": MOMENT}]
    if copied.get("format") == "binary":
        copied.pop("type", None)
    return copied


@cache
def _validator() -> OpenAPI:
    document = {**as_judged(contract()), "servers": [{"url": HOST}]}
    for path, entry in document["paths"].items():
        if path.startswith("/oauth/"):  # token requests carry no token (identity.md section 1)
            for details in entry.values():
                details["security"] = []
    return OpenAPI.from_dict(document, config=Config(spec_validator_cls=None))


def _request(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> MockRequest:
    return MockRequest(
        HOST,
        method.lower(),
        path if "%2F" in path.upper() else unquote(path),
        args=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        data=body or None,
        content_type=headers.get("content-type", ""),
    )


def request_problems(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> list[str]:
    """Return what the contract says against a request: a library's verdict, and names that nobody described."""
    promise = find(method, path)
    if promise is None:
        return [f"{method} {path} is no operation of the contract"]
    found = list(_undescribed(promise, query, headers, body))
    try:
        _validator().validate_request(_request(method, path, query, headers, body))
    except OpenAPIError as error:
        found.append(f"{promise.id}: {error} {error.__cause__ or ''}")
    return found


def response_problems(promise: Promise, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    """Return what the contract says against a reply."""
    headers = {"authorization": "Bearer t", "x-tallyfy-client": "APIClient", "accept": JSON}
    answer = promise.details["responses"].get(str(status))
    if answer is None:
        return [f"{promise.id}: {status} is not described"]
    if not body and status < 300:
        return []
    try:
        _validator().validate_response(
            _request(promise.method, path, "", headers, b""),
            MockResponse(body, status_code=status, content_type=content_type.partition(";")[0] or JSON),
        )
    except OpenAPIError as error:
        return [f"{promise.id} {status}: {error} {error.__cause__ or ''}"]
    return []


def _undescribed(promise: Promise, query: str, headers: dict[str, str], body: bytes) -> Iterator[str]:
    described = {one["name"] for one in promise.details.get("parameters", ()) if one["in"] == "query"}
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name.partition("[")[0] not in described:
            yield f"{promise.id}: query parameter {name} is not described"
    content = promise.details.get("requestBody", {}).get("content", {})
    if JSON in content and JSON in headers.get("content-type", "") and body:
        for name in undescribed_keys(json.loads(body), content[JSON].get("schema", {})):
            yield f"{promise.id}: {name} of the body is not described"
    elif body and not content:
        yield f"{promise.id}: has no body"


def resolved(schema: Any) -> Any:
    while "$ref" in schema:
        schema = contract()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def undescribed_keys(value: Any, schema: Any, path: str = "$") -> list[str]:
    """Return the keys of a value that its schema does not know."""
    schema = resolved(schema)
    parts = [resolved(part) for word in ("allOf", "oneOf", "anyOf") for part in schema.get(word, ())]
    if isinstance(value, list):
        items = next((one["items"] for one in (schema, *parts) if "items" in one), {})
        return [key for n, one in enumerate(value) for key in undescribed_keys(one, items, f"{path}[{n}]")]
    known: dict[str, Any] = {}
    for part in (schema, *parts):
        known |= part.get("properties", {})
    if not isinstance(value, dict) or not known or any(part.get("additionalProperties") for part in (schema, *parts)):
        return []
    return [f"{path}.{key}" for key in value if key not in known] + [
        found for key in value if key in known for found in undescribed_keys(value[key], known[key], f"{path}.{key}")
    ]


def sample(schema: Any, depth: int = 0, name: str = "") -> Any:
    """Return a value that fits a schema, every key present down to some depth."""
    schema = resolved(schema)
    given = [schema[word] for word in ("const", "example", "default") if schema.get(word) is not None]
    given += [one for one in schema.get("enum", ()) if one is not None][:1]
    if given:
        return copy.deepcopy(given[0])
    parts = [resolved(part) for word in ("oneOf", "anyOf") for part in schema.get(word, ())]
    if parts:
        return sample(next((part for part in parts if part.get("type") != "null"), {}), depth, name)
    if "allOf" in schema:
        made = [sample(part, depth, name) for part in schema["allOf"]]
        return {key: value for one in made if isinstance(one, dict) for key, value in one.items()}
    return _of_kind(schema, depth, name)


def _of_kind(schema: Any, depth: int, name: str) -> Any:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds if isinstance(kinds, str) else next(one for one in kinds if one != "null")
    if kind == "object" and "null" in kinds and "properties" not in schema:
        return None  # an include that was not asked for; {} would be one without an id
    if kind == "object":
        described = schema.get("properties", {})
        wanted = described if depth < 4 else {key: described[key] for key in schema.get("required", ())}
        return {key: sample(part, depth + 1, key) for key, part in wanted.items()}
    if kind == "array":
        return [sample(schema.get("items", {}), depth + 1, name)] if depth < 4 else []
    return _scalar(kind, schema, name)


def _scalar(kind: str, schema: Any, name: str) -> Any:
    if kind == "string":
        if schema.get("format") == "date-time" or name.endswith("_at") or name in {"deadline", "last_updated"}:
            return "2026-11-02T09:30:00.000Z"
        return "2026-11-02" if schema.get("format") == "date" else f"some {name}"
    return {"integer": 7, "number": 0.5, "boolean": True, "null": None}[kind]


def example(promise: Promise) -> tuple[int, str, Any]:
    """Return status, content type and payload of a successful reply: the published example, else one of its schema."""
    status, answer = next(iter(sorted(promise.answers.items())))
    if not answer.get("content"):
        return int(status), "", None
    kind, body = next(iter(answer["content"].items()))
    if "example" in body:
        return int(status), kind, copy.deepcopy(body["example"])
    for one in body.get("examples", {}).values():
        return int(status), kind, copy.deepcopy(one["value"])
    return int(status), kind, sample(body.get("schema", {}))


def published(promise: Promise) -> list[Any]:
    """Return every example of a success that the contract prints."""
    found: list[Any] = []
    for answer in promise.answers.values():
        for body in answer.get("content", {}).values():
            found += [body["example"]] if "example" in body else []
            found += [one["value"] for one in body.get("examples", {}).values()]
    return found
