from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallyfy_async import generate_key
from tallyfy_async.sandbox import Sandbox
from tests.cli.terminal import Terminal, become, terminal
from tests.faults.rig import served


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own settings, tokens and keyring out of the tests."""
    for name in (
        "BASE_URL",
        "TOKEN_URL",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "ORGANIZATION",
        "ACCESS_TOKEN",
        "USERNAME",
        "PASSWORD",
        "LOG",
    ):
        monkeypatch.delenv(f"TALLYFY_{name}", raising=False)
    monkeypatch.setenv("TALLYFY_TOKEN_KEYS", generate_key())
    monkeypatch.setenv("TALLYFY_DIRECTORY", str(tmp_path / "login"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Serve a sandbox whose user belongs to one organization."""
    with served(organizations=1) as one:
        yield one


@pytest.fixture
def tallyfy(capsys: pytest.CaptureFixture[str]) -> Terminal:
    """Run commands in this process."""
    return terminal(capsys)


@pytest.fixture
def user(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Serve a sandbox whose user's personal token is in the environment."""
    become(sandbox, monkeypatch)
    return sandbox
