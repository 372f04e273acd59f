"""The examples as a user has them: loaded from their folders, and found by the variables that they read."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from tallyfy_async.sandbox import Sandbox
from tallyfy_async.sandbox.records import Member, Task

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def example(path: str) -> Iterator[ModuleType]:
    """Load a module as Python does that is started in its folder; forget it and its neighbours afterwards."""
    place = EXAMPLES / path
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[place.stem] = module
    sys.path.insert(0, str(place.parent))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(place.parent))
        for name in set(sys.modules) - before:
            if str(place.parent) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def environment() -> dict[str, str]:
    """Return the environment of a program that finds the package where it lies."""
    paths = os.pathsep.join(filter(None, [str(EXAMPLES.parent), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths}


def variables(sandbox: Sandbox) -> dict[str, str]:
    """Return the variables by which the examples find a sandbox that is served."""
    with example("on_sandbox.py") as module:
        found: dict[str, str] = module.variables(sandbox)
        return found


def enter(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, **more: str) -> None:
    """Have the variables of the examples lead to a sandbox."""
    for name, value in {**variables(sandbox), **more}.items():
        monkeypatch.setenv(name, value)


def members(sandbox: Sandbox) -> list[Member]:
    """Return the active members of the seeded organization."""
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    return [one for one in tenant.members.values() if one.status == "active"]


def a_task(sandbox: Sandbox) -> tuple[str, Task]:
    """Return a member and a task of theirs that nothing keeps from being completed."""
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    return next(
        (member.user.email, task)
        for task in tenant.tasks.values()
        if task.run_id and task.is_open and task.task_type == "task" and not task.archived_at
        if not tenant.runs[task.run_id].open_issue and not any(field.required for field in task.captures)
        for member in members(sandbox)
        if member.user.id in task.users
    )
