from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import tallyfy_async
from tallyfy_async import Operation, TallyfyClient, models, operations
from tallyfy_async.protocol.operation import Safety

PACKAGE = Path(tallyfy_async.__file__).parent
OPERATIONS = operations()
HEAVY = ("httpx", "httpcore", "anyio", "cattrs", "tenacity", "attrs", "starlette", "uvicorn", "rich", "typer", "yaml")


def in_a_new_process(code: str) -> Any:
    """Run Python code in a fresh interpreter and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=60
    )
    return json.loads(done.stdout)


def rank(name: str) -> tuple[int, str]:
    """Order names as ruff does: constants, classes, the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_the_names_are_sorted_and_unique() -> None:
    assert tallyfy_async.__all__ == sorted(set(tallyfy_async.__all__), key=rank)


def test_what_type_checkers_see_is_what_there_is() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {*seen, "__version__"} == set(tallyfy_async.__all__)
    for name, module in seen.items():
        assert getattr(tallyfy_async, name) is getattr(import_module(module or ""), name)


def test_all_names_can_be_listed_and_imported() -> None:
    assert set(tallyfy_async.__all__) <= set(dir(tallyfy_async))
    names: dict[str, Any] = {}
    exec("from tallyfy_async import *", names)
    assert set(tallyfy_async.__all__) <= names.keys()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'tallyfy_async' has no attribute 'TalyfyClient'"):
        _ = tallyfy_async.TalyfyClient  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from tallyfy_async import nothing_of_the_kind")


def test_submodules_load_by_name() -> None:
    assert in_a_new_process("import json, tallyfy_async as t; print(json.dumps(t.models.Run.__name__))") == "Run"
    assert in_a_new_process("import json, tallyfy_async as t; print(json.dumps(t.errors.__name__))").endswith("errors")


def test_every_public_name_has_a_docstring() -> None:
    bare = {"UNSET", "__version__"}
    assert not [name for name in tallyfy_async.__all__ if name not in bare and not getattr(tallyfy_async, name).__doc__]


@pytest.mark.parametrize("name", models.__all__)
def test_every_model_loads_by_name(name: str) -> None:
    assert getattr(models, name) is not None
    assert name in dir(models)


def test_the_models_have_all_names_that_type_checkers_see() -> None:
    tree = ast.parse((PACKAGE / "models" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == sorted(models.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Rum'"):
        _ = models.Rum


def loaded_after(statement: str) -> set[str]:
    """Return the heavy packages that a fresh interpreter has loaded after a statement."""
    code = f"import json, sys; {statement}; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    return set(in_a_new_process(code))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import tallyfy_async") == set()


def test_naming_an_error_loads_nothing_heavy() -> None:
    assert loaded_after("from tallyfy_async import RateLimitError, Outcome") == set()


def test_making_a_client_loads_no_converter_and_no_extra() -> None:
    loaded = loaded_after("from tallyfy_async import TallyfyClient; TallyfyClient('token').organization('o')")
    assert not loaded & {"httpx", "httpcore", "cattrs", "starlette", "uvicorn", "typer", "yaml"}


@cache
def contract() -> dict[str, dict[str, Any]]:
    """Return operationId -> operation of the contract, with its method and path."""
    document = json.loads((PACKAGE / "sandbox" / "openapi.json").read_bytes())
    return {
        operation["operationId"]: {**operation, "method": method.upper(), "path": path}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    }


def test_operations_are_ordered_and_unique() -> None:
    ids = [one.id for one in OPERATIONS]
    assert ids == sorted(set(ids))
    assert len(ids) >= 25
    assert len({one.call for one in OPERATIONS}) == len(ids)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_every_operation_is_one_of_the_contract(operation: Operation) -> None:
    promised = contract()[operation.id]
    assert (operation.method, operation.path) == (promised["method"], promised["path"])
    scopes = promised["x-scope"]
    assert sorted(operation.scopes) == sorted([scopes] if isinstance(scopes, str) else scopes)
    assert operation.confidence == promised["x-confidence"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_the_size_of_pages_is_the_contract_s(operation: Operation) -> None:
    promised = {entry["name"]: entry for entry in contract()[operation.id].get("parameters", []) if "name" in entry}
    size = promised.get("per_page")
    assert operation.max_per_page == (None if size is None else size["schema"].get("maximum", 100))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_reads_are_safe_and_writes_are_not(operation: Operation) -> None:
    oauth = {
        "create_token": Safety.SAFE,
        "create_application_user_token": Safety.SAFE,
        "refresh_token": Safety.ANSWERED,
    }
    assert operation.safety is oauth.get(operation.id, Safety.SAFE if operation.method == "GET" else Safety.WRITE)


def resolve(call: str) -> Any:
    """Return what a dotted call means, on a client that sends nothing."""
    client = TallyfyClient("token", organization="o" * 32)
    root, *names = call.split(".")
    found: Any = {"client": client, "org": client.organization(), "tallyfy_async": tallyfy_async}[root]
    for name in names:
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_the_dotted_call_takes_the_ids_of_the_path(operation: Operation) -> None:
    found = resolve(operation.call)
    assert callable(found)
    assert inspect.getdoc(found)
    assert operation.resource == operation.call.rpartition(".")[0]
    if not operation.call.startswith("tallyfy_async."):
        parameters = inspect.signature(found).parameters
        ids = [part[1:-1] for part in operation.path.split("/") if part.startswith("{") and part != "{org}"]
        assert list(parameters)[: len(ids)] == ids
        assert all(parameters[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for name in ids)
        assert parameters["options"].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"contract: {operation.id}" in (inspect.getdoc(found) or "")


COMPOSED = {
    "org.checklists.automations.replace",
    "org.checklists.find_by_name",
    "org.checklists.kickoff_form",
    "org.checklists.preruns.create",
    "org.checklists.preruns.reorder",
    "org.checklists.preruns.replace",
    "org.checklists.preruns.update",
    "org.checklists.replace",
    "org.checklists.steps.captures.replace",
    "org.checklists.steps.replace",
    "org.files.attach",
    "org.folders.find_by_name",
    "org.groups.find_by_name",
    "org.groups.replace",
    "org.guests.find_by_email",
    "org.runs.find_by_name",
    "org.runs.launch_many",
    "org.runs.replace",
    "org.runs.tasks.form",
    "org.search.list",
    "org.tags.find_by_name",
    "org.tasks.form",
    "org.tasks.replace",
    "org.threads.list_of_task",
    "org.users.find_by_email",
}
"""Methods that are made of operations that have calls of their own."""


def test_every_public_method_of_a_resource_is_an_operation() -> None:
    calls = {one.call for one in OPERATIONS}
    places = {one.resource for one in OPERATIONS if not one.resource.startswith("tallyfy_async")}
    for place in places:
        kind = type(resolve(place))
        methods = [name for name, value in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
        assert not {f"{place}.{name}" for name in methods} - calls - COMPOSED


@pytest.mark.parametrize("call", sorted(COMPOSED))
def test_composed_methods_are_documented(call: str) -> None:
    assert inspect.getdoc(resolve(call))
