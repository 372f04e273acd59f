"""``doctor``: what it finds where all is well, and where something is not."""

from __future__ import annotations

import socket
from email.utils import formatdate

import pytest

from tallyfy_async.cli import doctor as room
from tallyfy_async.cli import session
from tallyfy_async.cli.doctor import skew_of
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.clock import SystemClock
from tests.cli.person import Person
from tests.cli.terminal import Said, Terminal, become, tenant
from tests.cli.test_account import environment
from tests.cli.test_login import run as log_in
from tests.faults.rig import served

NAMES = ["versions", "credentials", "token", "server", "clock", "headers", "user", "organization"]


def states(said: Said) -> dict[str, str]:
    return {check["name"]: check["state"] for check in said.data["checks"]}


def detail(said: Said, name: str) -> str:
    return next(check["detail"] for check in said.data["checks"] if check["name"] == name)


def test_all_is_well(tallyfy: Terminal, user: Sandbox) -> None:
    said = tallyfy("doctor", "--json")
    assert (said.status, said.err, said.data["ok"]) == (0, "", True)
    assert states(said) == dict.fromkeys(NAMES, "ok")
    assert "httpx" in detail(said, "versions")
    assert detail(said, "credentials") == f"personal, from the environment, for {user.url}"
    assert tenant(user).name in detail(said, "organization")
    table = tallyfy("doctor")
    assert table.status == 0
    assert all(name in table.out for name in NAMES)


def test_the_headers_are_those_that_are_sent(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(organizations=1, record=True) as sandbox:
        become(sandbox, monkeypatch)
        told = dict(line.split(": ", 1) for line in detail(tallyfy("doctor", "--json"), "headers").split("; "))
        sent = {name.lower(): value for name, value in sandbox.stats.received[-1].headers.items()}
    assert told["X-Tallyfy-Client"] == "APIClient"
    assert told["Authorization"] == "Bearer …"
    assert sent["authorization"].startswith("Bearer ")
    assert {name.lower(): value for name, value in told.items() if name != "Authorization"} == {
        name: value for name, value in sent.items() if name in {known.lower() for known in told} - {"authorization"}
    }


def test_the_life_and_the_scopes_of_a_token(
    tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(Person(sandbox)) == 0
    said = tallyfy("doctor", "--json")
    assert (said.status, said.data["ok"]) == (0, True)
    assert " left, scopes" in detail(said, "token")
    assert "the login in" in detail(said, "credentials")
    environment(sandbox, monkeypatch, "BASE_URL", "CLIENT_ID", "CLIENT_SECRET")
    monkeypatch.setenv("TALLYFY_DIRECTORY", "/nonexistent")
    said = tallyfy("doctor", "--json", "--organization", sandbox.credentials.organization)
    assert states(said)["user"] == "skipped"
    assert "application" in detail(said, "user")


def test_without_credentials_the_server_is_looked_at_all_the_same(tallyfy: Terminal, sandbox: Sandbox) -> None:
    said = tallyfy("doctor", "--json", "--base-url", sandbox.url)
    found = states(said)
    assert said.status == 1
    assert (found["credentials"], found["server"], found["headers"]) == ("failed", "ok", "ok")
    assert (found["user"], found["organization"]) == ("skipped", "skipped")
    assert "token" not in found
    assert "login" in detail(said, "credentials")


def test_a_server_that_is_not_there(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", "t0ken")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        monkeypatch.setattr(room, "_BRIEFLY", room.RequestOptions(retry=0, deadline=5))
        said = tallyfy("doctor", "--json", "--base-url", url, "--organization", "o")
    found = states(said)
    assert said.status == 1
    assert (found["token"], found["server"], found["clock"]) == ("ok", "failed", "skipped")
    assert "NotSentError" in detail(said, "server")
    assert "HTTPS_PROXY is set, but proxies are not taken" in detail(said, "server")
    assert "t0ken" not in said.out + said.err


def test_a_dead_token(tallyfy: Terminal, user: Sandbox) -> None:
    user.world.vault.revoke_all_access()
    user.world.vault.access.clear()
    said = tallyfy("doctor", "--json")
    assert said.status == 1
    assert states(said)["user"] == "failed"
    assert "PersonalTokenRevokedError" in detail(said, "user")


def test_a_wrong_password(tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(sandbox, monkeypatch)
    monkeypatch.setenv("TALLYFY_PASSWORD", "wr0ng")
    said = tallyfy("doctor", "--json")
    found = states(said)
    assert (said.status, found["token"], found["server"], found["user"]) == (1, "failed", "ok", "skipped")
    assert "wr0ng" not in said.out + said.err


@pytest.mark.parametrize(("offset", "words"), [(3600.0, "ahead of"), (-3600.0, "behind")])
def test_a_wrong_clock(
    offset: float, words: str, tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(SystemClock):
        def time(self) -> float:
            return super().time() + offset

    monkeypatch.setattr(session, "SystemClock", Wrong)
    said = tallyfy("doctor", "--json")
    assert (said.status, states(said)["clock"]) == (1, "failed")
    assert f"{words} the server's: set it" in detail(said, "clock")


def test_another_organization(tallyfy: Terminal, user: Sandbox) -> None:
    said = tallyfy("doctor", "--json", "--organization", "0" * 32)
    assert (said.status, states(said)["organization"], states(said)["user"]) == (1, "failed", "ok")


def test_a_server_that_refuses_is_reached(tallyfy: Terminal, user: Sandbox) -> None:
    user.faults.add(Fault(path="/utils/config", status=403, body={"message": "no"}, times=None))
    said = tallyfy("doctor", "--json")
    assert states(said)["server"] == "ok"
    assert detail(said, "server") == "answers, with 403"
    assert states(said)["clock"] == "skipped"


def test_settings_that_cannot_work(tallyfy: Terminal, user: Sandbox) -> None:
    said = tallyfy("doctor", "--json", "--base-url", "ftp://tallyfy.example")
    assert (said.status, states(said)["settings"]) == (1, "failed")


def test_the_skew_is_told_with_its_sign() -> None:
    date = formatdate(1_000_000, usegmt=True)
    assert skew_of(date, 1_000_040) == 40
    assert skew_of(date, 999_900) == -100
    assert skew_of(date.replace("GMT", "-0000"), 1_000_040) == 40
    assert skew_of("yesterday", 0) is None
    assert skew_of("Mon, 01 Jan 2026 00:00:00 +99999999999999", 0) is None


def test_a_password_in_an_address_is_not_shown(
    tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYFY_BASE_URL", "https://ada:s3cr3t@tallyfy.example/api")
    for words in (["doctor"], ["doctor", "--json"], ["whoami"], ["login", "--client-id", "7"], ["runs", "list"]):
        said = tallyfy(*words)
        assert said.status in {1, 2}
        assert "s3cr3t" not in said.out + said.err
