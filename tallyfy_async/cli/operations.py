"""``python -m tallyfy_async operations``: every operation of the API with the Python call that performs it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import tallyfy_async
from tallyfy_async.cli.line import Line
from tallyfy_async.cli.output import written
from tallyfy_async.client import TallyfyClient
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.registry import operations

_PAGE = """# Operations

Every operation of the API's contract and the Python call that performs it. `client` is a `TallyfyClient`, `org` one of
its organizations: `client.organization(id)`. *Verified* operations are told by two official sources, *documented* ones
by one. *Inferred* ones are in no official document: the client warns with `UnverifiedEndpointWarning` when one is
called for the first time, unless it was made with `allow_unverified=True`.

This page is generated: `python -m tallyfy_async operations --markdown`.
"""


def main(arguments: Sequence[str]) -> int:
    """Print the registry: one operation a line, as JSON, or as the page docs/api.md."""
    line = Line(
        prog="python -m tallyfy_async operations", description="List the API operations that the package performs."
    )
    form = line.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as a JSON array of objects")
    form.add_argument("--markdown", action="store_true", help="as a page of tables, with what each call does")
    chosen = line.parse_args(arguments)
    if chosen.json:
        text = json.dumps([_row(one) for one in operations()], indent=2)
    elif chosen.markdown:
        text = page(operations())
    else:
        text = "\n".join(f"{one.id:<34} {one.method:<7} {one.path:<82} {one.call}" for one in operations())
    return written(text + "\n", as_json=chosen.json)


def _row(operation: Operation) -> dict[str, object]:
    return {
        "id": operation.id,
        "method": operation.method,
        "path": operation.path,
        "scopes": sorted(operation.scopes),
        "confidence": operation.confidence,
        "resource": operation.resource,
        "call": operation.call,
    }


def page(listed: Iterable[Operation]) -> str:
    """Return a page of Markdown: a table for each place in the client."""
    parts = [_PAGE]
    for resource, members in groupby(sorted(listed, key=lambda one: one.call), key=lambda one: one.resource):
        rows = [
            f"| `{one.call.rpartition('.')[2]}{_arguments(one)}` | {_summary(one)} | `{one.method} {one.path}` "
            f"| {', '.join(sorted(one.scopes))} | {one.confidence} |"
            for one in members
        ]
        head = "| Call | What it does | Request | Scope | Confidence |\n|---|---|---|---|---|"
        parts.append("\n".join([f"## `{resource}`\n", head, *rows, ""]))
    return "\n".join(parts).rstrip()


def _called(operation: Operation) -> Any:
    root, *names = operation.call.split(".")
    client = TallyfyClient("token", organization="0" * 32)
    found: Any = {"client": client, "org": client.organization(), "tallyfy_async": tallyfy_async}[root]
    for name in names:
        found = getattr(found, name)
    return found


def _arguments(operation: Operation) -> str:
    """Return the positional arguments of a call, and dots where it takes more by name."""
    if operation.call.startswith("tallyfy_async."):
        return "(…)"
    known = inspect.signature(_called(operation)).parameters.values()
    names = [one.name for one in known if one.kind is one.POSITIONAL_OR_KEYWORD]
    more = any(one.kind in {one.KEYWORD_ONLY, one.VAR_KEYWORD} and one.name != "options" for one in known)
    return f"({', '.join([*names, *(['…'] if more else [])])})"


def _summary(operation: Operation) -> str:
    """Return the first sentence of the docstring, without the name of its source."""
    first = (inspect.getdoc(_called(operation)) or "").partition("\n\n")[0].replace("\n", " ")
    return first.partition(" (contract:")[0].rstrip(".").replace("|", "\\|")
