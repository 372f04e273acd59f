"""A headless Chromium for the login, and the real command that waits for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field
from playwright.sync_api import Browser, Page, sync_playwright

from tallyfy_async import generate_key
from tallyfy_async.sandbox import Sandbox
from tests.faults.rig import served
from tests.helpers import attentive

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that an attacker points at this machine.
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
]
_READ = """
import anyio, json
from tallyfy_async import TallyfyClient
from tallyfy_async.auth.profile import login_settings

async def main():
    settings = login_settings()
    async with TallyfyClient(**settings) as tallyfy:
        user = await tallyfy.me.get()
        runs = await tallyfy.organization().runs.list()
        print(json.dumps({"email": user.email, "organization": settings["organization"], "runs": len(runs)}))

anyio.run(main)
"""


@define(eq=False)
class Login:
    """The real command, waiting for a browser.

    Attributes:
        process: ``python -m tallyfy_async login --no-browser``.
        address: what it printed for the browser.
        environment: with which another program finds the login.

    """

    process: subprocess.Popen[str]
    address: str
    environment: dict[str, str] = field(repr=False)

    @property
    def redirect_uri(self) -> str:
        """Where the command listens."""
        return parse_qs(urlsplit(self.address).query)["redirect_uri"][0]

    @property
    def waits(self) -> bool:
        """Whether the command is still running."""
        return self.process.poll() is None

    def end(self, typed: str | None = None) -> tuple[int, str, str]:
        """Type something, if anything; wait for the end; return status, output and errors."""
        out, err = self.process.communicate(typed, timeout=60)
        return self.process.returncode, out, err

    def use(self) -> dict[str, object]:
        """Let another process use what was stored; return what it read."""
        line = [sys.executable, "-c", _READ]
        done = subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the Chromium of the system; without one the tests fail, because skipping would look like success."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    assert found is not None, "no Chromium on the PATH: install the package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Open a window that has never been anywhere. What its scripts complain about fails the test."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    # Chromium reports refusals of the receiver, which tests provoke, as errors of the console.
    assert [one for one in complaints if "Failed to load resource" not in one] == []


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Serve a sandbox whose user belongs to two organizations."""
    with served(organizations=2) as one:
        yield one


@pytest.fixture
def log_in(tmp_path: Path) -> Iterator[Callable[..., Login]]:
    """Return what starts the command against a sandbox; whatever still runs at the end is ended."""
    started: list[Login] = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYFY_")}
    environment |= {"TALLYFY_TOKEN_KEYS": generate_key(), "TALLYFY_DIRECTORY": str(tmp_path / "login")}

    def start(sandbox: Sandbox, *more: str, secret: str | None = None) -> Login:
        given = {**environment, **({} if secret is None else {"TALLYFY_CLIENT_SECRET": secret})}
        line = attentive("login", "--no-browser", "--store", "file")
        line += ["--base-url", sandbox.url, "--authorize-url", sandbox.authorize_url]
        line += ["--client-id", sandbox.credentials.public_client_id, *more]
        pipe = subprocess.PIPE
        process = subprocess.Popen(line, env=given, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("Open this address"), said
        login = Login(process, process.stderr.readline().strip(), given)
        assert "Ctrl-C" in process.stderr.readline()
        started.append(login)
        return login

    yield start
    for login in started:
        if login.waits:
            login.process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        login.process.communicate()
