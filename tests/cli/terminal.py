"""A terminal: commands in this process, and what they said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from attrs import frozen

from tallyfy_async import __main__ as entry
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.sandbox.world import Tenant


@frozen
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Return standard output, which is one JSON text and nothing else."""
        assert self.out.endswith("\n")
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """Return what standard error tells: one line of JSON, which is a failure."""
        (line,) = self.err.splitlines()
        return json.loads(line)["error"]


Terminal: TypeAlias = Callable[..., Said]


def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """Return a function that runs a command and returns what it said."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        status = entry.main(list(words))
        captured = capsys.readouterr()
        return Said(int(status), captured.out, captured.err)

    return run


def become(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the personal token of the sandbox's user into the environment."""
    monkeypatch.setenv("TALLYFY_BASE_URL", sandbox.url)
    monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", sandbox.credentials.personal_token)


def tenant(sandbox: Sandbox) -> Tenant:
    """Return the seeded organization as the sandbox holds it."""
    return sandbox.world.tenants[sandbox.credentials.organization]


def lines(text: str) -> list[str]:
    """Return the rows of a table, its head apart."""
    return [line for line in text.splitlines() if line.strip()][2:]
