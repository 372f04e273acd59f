"""The contract as the sandbox uses it: to judge the bodies that come in, and to show it.

The keys of a body are judged for presence and type alone, in the words of Laravel's validator. Unknown keys, wrong
words, lengths and what lies deeper are left to the handlers, because the server drops, stores or refuses them field by
field.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib.resources import files

import jsonschema_rs

from .problems import Invalid
from .records import JsonObject, is_object

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_KINDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "array": "an array",
    "object": "an array",  # PHP has one word for both
}
_NOT_DEMANDED = {("update_tag", "title"), ("clone_checklist", "tenant")}
"""Keys that the contract requires, and that official clients leave out all the same."""


@cache
def document() -> JsonObject:
    """Return the contract, an OpenAPI 3.1 document; it is shared and must not be changed."""
    text = files("tallyfy_async.sandbox").joinpath("openapi.json").read_bytes()
    loaded: JsonObject = json.loads(text)
    return loaded


@cache
def _operations() -> dict[str, JsonObject]:
    return {
        details["operationId"]: details
        for entry in document()["paths"].values()
        for details in entry.values()
        if isinstance(details, dict) and "operationId" in details
    }


@cache
def _validator(operation: str) -> jsonschema_rs.Draft202012Validator | None:
    content = _operations().get(operation, {}).get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return None
    return jsonschema_rs.Draft202012Validator(
        {"$schema": _DIALECT, "components": document()["components"], "allOf": [schema]}
    )


def check_body(operation: str, body: JsonObject) -> None:
    """Raise Invalid where a body lacks a key or has one of the wrong type; PHP takes lists and objects for the same."""
    validator = _validator(operation)
    if validator is None:
        return
    given = {name: value for name, value in body.items() if value is not None}  # a null is no input
    told = [one for error in validator.iter_errors(given) for one in _told(error)]
    errors = {name: message for name, message in told if name in given or (operation, name) not in _NOT_DEMANDED}
    if errors:
        raise Invalid({name: [message] for name, message in errors.items()})


def _told(error: jsonschema_rs.ValidationError) -> Iterator[tuple[str, str]]:
    """Yield the name and the message of an error at a key of the body itself; deeper ones are the handlers'."""
    path = error.instance_path
    match error.kind:
        case jsonschema_rs.ValidationErrorKind.Required(property=missing) if not path:
            yield missing, f"The {missing.replace('_', ' ')} field is required."
        case jsonschema_rs.ValidationErrorKind.Type(types=kinds) if len(path) == 1:
            name = str(path[0])
            if not (isinstance(error.instance, list | dict) and {"array", "object"} & set(kinds)):
                yield name, _mismatch(name.replace("_", " "), kinds)
        case jsonschema_rs.ValidationErrorKind.AnyOf() | jsonschema_rs.ValidationErrorKind.OneOfNotValid():
            if len(path) == 1:
                yield str(path[0]), f"The {str(path[0]).replace('_', ' ')} format is invalid."
        case _:
            return


def _mismatch(label: str, kinds: Sequence[str]) -> str:
    if "boolean" in kinds:
        return f"The {label} field must be true or false."
    return f"The {label} must be {next((_KINDS[kind] for kind in kinds if kind in _KINDS), 'valid')}."


def served(names: Collection[str], origin: str, base: str) -> JsonObject:
    """Return the contract of the operations that the sandbox serves, at its own address."""
    paths: JsonObject = {}
    for path, entry in document()["paths"].items():
        kept = {method: _moved(details, origin) for method, details in entry.items() if _serves(names, details)}
        if kept:
            paths[path] = {**{word: value for word, value in entry.items() if word == "parameters"}, **kept}
    return {**document(), "servers": [{"url": f"{origin}/{base}"}], "paths": paths}


def _serves(names: Collection[str], details: object) -> bool:
    return is_object(details) and details.get("operationId") in names


def _moved(details: JsonObject, origin: str) -> JsonObject:
    """Put an operation that has a server of its own, the login page, beside the API of the sandbox."""
    return {**details, "servers": [{"url": origin}]} if "servers" in details else details
