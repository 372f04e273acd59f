"""``whoami``, ``logout``, ``organizations``, and where credentials come from."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tallyfy_async import Token
from tallyfy_async.auth.profile import login_directory
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.cli import account, session
from tallyfy_async.cli.account import remaining, spelled
from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.errors import StoreError
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.cli.person import Person
from tests.cli.terminal import Terminal, become, tenant
from tests.cli.test_login import run as log_in
from tests.faults.rig import served


def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    known = sandbox.credentials
    given = {
        "BASE_URL": sandbox.url,
        "CLIENT_ID": known.client_id,
        "CLIENT_SECRET": known.client_secret,
        "USERNAME": known.username,
        "PASSWORD": known.password,
    }
    for name in names or given:
        monkeypatch.setenv(f"TALLYFY_{name}", given[name])


def test_whoami_of_a_personal_token(tallyfy: Terminal, user: Sandbox) -> None:
    known = user.credentials
    said = tallyfy("whoami", "--json", "--organization", known.organization)
    assert (said.status, said.err) == (0, "")
    assert said.data["user"]["email"] == known.username
    assert said.data["organization"] == {"id": known.organization, "name": tenant(user).name}
    assert said.data["base_url"] == user.url
    assert said.data["credentials"] == "the environment"
    assert said.data["token"] == {"grant": "personal", "scopes": None, "expires_at": None, "remaining": None}
    table = tallyfy("whoami").out
    assert f"({known.username})" in table
    assert known.organization in table  # the only one
    assert "personal, its end is not known" in table


def test_whoami_tells_the_remaining_life(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    monkeypatch.setattr(session, "SystemClock", lambda: clock)
    with served(clock, organizations=1, access_life=3600, user_token_life=3600) as sandbox:
        environment(sandbox, monkeypatch)
        token = tallyfy("whoami", "--json").data["token"]
        assert (token["grant"], token["remaining"]) == ("password", 3600)
        assert token["expires_at"].endswith("Z")
        assert "password, 60 min left" in tallyfy("whoami").out


def test_whoami_of_an_application(tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(sandbox, monkeypatch, "BASE_URL", "CLIENT_ID", "CLIENT_SECRET")
    said = tallyfy("whoami", "--json")
    assert (said.status, said.data["user"], said.data["token"]["grant"]) == (0, None, "client_credentials")
    assert "an application's token" in tallyfy("whoami").out


def test_no_secret_is_shown(tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(sandbox, monkeypatch)
    said = [tallyfy(*words) for words in (("whoami", "--json"), ("whoami",), ("doctor",), ("doctor", "--json"))]
    secrets = [*sandbox.world.vault.access, sandbox.credentials.client_secret, sandbox.credentials.password]
    assert len(secrets) > 2
    for one in said:
        assert one.status == 0
        assert not any(secret[-20:] in text for secret in secrets for text in (one.out, one.err))


def test_a_login_is_used_and_ended(tallyfy: Terminal, sandbox: Sandbox) -> None:
    assert log_in(Person(sandbox)) == 0
    said = tallyfy("whoami", "--json")
    assert (said.status, said.data["organization"]["id"]) == (0, sandbox.credentials.organization)
    assert said.data["credentials"] == f"the login in {login_directory()}"
    said = tallyfy("logout", "--json")
    assert (said.status, said.data) == (0, {"logged_out": True, "directory": str(login_directory())})
    assert not (login_directory() / "profile.json").exists()
    for words in (("whoami",), ("logout",)):
        said = tallyfy(*words)
        assert (said.status, said.out) == (3, "")
        assert "logged in" in said.err


def test_what_a_logout_leaves_opens_nothing(tallyfy: Terminal, sandbox: Sandbox) -> None:
    assert log_in(Person(sandbox)) == 0
    profile = (login_directory() / "profile.json").read_bytes()
    assert tallyfy("logout").status == 0
    (login_directory() / "profile.json").write_bytes(profile)
    (login_directory() / "profile.json").chmod(0o600)
    said = tallyfy("whoami")
    assert (said.status, said.out) == (3, "")
    assert "ReauthenticationRequiredError" in said.err


def test_a_logout_of_a_client_with_a_secret_needs_no_secret(
    tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYFY_CLIENT_SECRET", sandbox.credentials.client_secret)
    assert log_in(Person(sandbox), "--client-id", sandbox.credentials.client_id) == 0
    monkeypatch.delenv("TALLYFY_CLIENT_SECRET")
    before = sandbox.stats.requests
    assert tallyfy("whoami").status == 2
    assert tallyfy("logout").status == 0
    assert sandbox.stats.requests == before


def test_a_store_that_fails_does_not_keep_the_login(
    tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        msg = "the disk is gone"
        raise StoreError(msg)

    assert log_in(Person(sandbox)) == 0
    monkeypatch.setattr(FileStore, "load", fail)
    said = tallyfy("logout")
    assert said.status == 1
    assert "the disk is gone" in said.err
    assert not (login_directory() / "profile.json").exists()


def test_another_directory(tallyfy: Terminal, sandbox: Sandbox, tmp_path: Path) -> None:
    place = tmp_path / "else where"
    assert log_in(Person(sandbox), "--directory", str(place)) == 0
    assert tallyfy("whoami").status == 3
    assert tallyfy("whoami", "--directory", str(place), "--json").data["user"]["email"] == sandbox.credentials.username
    said = tallyfy("whoami", "--directory", str(tmp_path / "nowhere"))
    assert said.status == 3
    assert not (tmp_path / "nowhere").exists()


def test_a_login_goes_to_no_other_server(tallyfy: Terminal, sandbox: Sandbox) -> None:
    assert log_in(Person(sandbox)) == 0
    before = sandbox.stats.requests
    said = tallyfy("whoami", "--base-url", "https://go.tallyfy.example/api")
    assert (said.status, said.out, sandbox.stats.requests) == (2, "", before)
    assert "for another server, log in with a --directory of its own" in said.err
    assert tallyfy("whoami", "--base-url", f"{sandbox.url}/").status == 0


def test_a_user_in_the_environment_comes_before_the_login_and_an_application_after_it(
    tallyfy: Terminal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(Person(sandbox)) == 0
    environment(sandbox, monkeypatch, "BASE_URL", "CLIENT_ID", "CLIENT_SECRET")
    assert tallyfy("whoami", "--json").data["credentials"].startswith("the login in")
    become(sandbox, monkeypatch)
    assert tallyfy("whoami", "--json").data["credentials"] == "the environment"
    asked = tallyfy("whoami", "--json", "--directory", str(login_directory()))
    assert asked.data["credentials"].startswith("the login in")


def test_one_of_several_organizations_must_be_named(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(organizations=3) as sandbox:
        become(sandbox, monkeypatch)
        ids = sandbox.credentials.organizations
        found = tallyfy("organizations", "--json").data
        assert {one["id"] for one in found} == set(ids)
        assert all(one in tallyfy("organizations").out for one in ids)
        assert "none chosen" in tallyfy("whoami").out
        said = tallyfy("runs", "list", "--json")
        assert (said.status, said.out) == (2, "")
        assert "you belong to 3 organizations" in said.err
        assert all(one in said.err for one in ids)
        assert tallyfy("runs", "list", "--organization", ids[0]).status == 0
        monkeypatch.setenv("TALLYFY_ORGANIZATION", ids[0])
        assert tallyfy("whoami", "--json").data["organization"]["id"] == ids[0]
        assert tallyfy("whoami", "--organization", ids[1]).status == 4  # a personal token is for one of them


def test_without_an_organization(tallyfy: Terminal, user: Sandbox) -> None:
    user.world.tenants.clear()
    said = tallyfy("runs", "list")
    assert (said.status, said.out) == (2, "")
    assert "no organization" in said.err


def test_half_a_user_in_the_environment(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYFY_USERNAME", "ada@example.com")
    said = tallyfy("whoami")
    assert said.status == 2
    assert "TALLYFY_CLIENT_ID" in said.err


def test_a_base_url_in_the_clear_is_refused(tallyfy: Terminal, user: Sandbox) -> None:
    with warnings.catch_warnings():
        said = tallyfy("whoami", "--base-url", "http://tallyfy.example/api")
    assert (said.status, said.out) == (2, "")
    assert "https" in said.err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "its end is not known"),
        (0, "ended"),
        (90, "90 s left"),
        (120, "2 min left"),
        (7199, "119 min left"),
        (7200, "2 h left"),
        (180 * 86400, "180 d left"),
    ],
)
def test_a_life_in_words(seconds: int | None, words: str) -> None:
    assert spelled(seconds) == words


def test_a_token_that_has_ended_has_no_life_left() -> None:
    token = Token(access_token="a", issued_at=100.0, lifetime=50.0)
    assert [remaining(token, now) for now in (100.0, 120.5, 150.0, 1000.0)] == [50, 29, 0, 0]


@pytest.mark.anyio
async def test_whoami_runs_on_both_event_loops(user: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await account.whoami(session.Session.of(session.Options(json=True)))
    assert user.credentials.username in capsys.readouterr().out
    assert ExitCode.OK == 0
