"""``python -m tallyfy_async login``, from the command line to a client that works with what it left behind."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest

from tallyfy_async import ReauthenticationRequiredError, TallyfyClient
from tallyfy_async.auth.profile import load_profile, login_directory, login_settings
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.cli import login
from tallyfy_async.sandbox import Fault, Sandbox
from tests.cli.person import Person, words
from tests.faults.rig import me, served, until
from tests.helpers import attentive


def run(person: Person, *more: str) -> int:
    person.done.clear()
    status = login.main(words(person.sandbox, *more), browse=person.visit)
    assert person.done.wait(10)
    return status


def call(count: int = 1) -> int:
    """Use the stored login as another program would."""

    async def use() -> int:
        async with TallyfyClient(**login_settings()) as tallyfy:
            return sum([await me(tallyfy) for _ in range(count)])

    return anyio.run(use)


def test_a_code_login_is_kept_and_used(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person(sandbox)
    assert run(person) == 0
    said = capsys.readouterr()
    profile = load_profile()
    assert profile.organization == sandbox.credentials.organization
    assert (profile.base_url, profile.token_url) == (sandbox.url, f"{sandbox.url}/oauth/token")
    assert (profile.scope, profile.store, profile.confidential) == ("*", "file", False)
    assert f"Logged in, organization {profile.organization}" in said.out
    assert "TallyfyClient.from_login()" in said.out
    assert person.addresses[0] in said.err
    assert "You can close this window" in person.pages[0]
    asked = parse_qs(urlsplit(person.addresses[0]).query)
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    assert call() == 200
    assert sandbox.stats.token_requests["authorization_code"] == {"ok": 1}


def test_nothing_that_is_shown_or_kept_in_the_clear_holds_a_secret(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sandbox.credentials
    monkeypatch.setenv("TALLYFY_CLIENT_SECRET", known.client_secret)
    assert run(Person(sandbox), "--client-id", known.client_id) == 0
    said = capsys.readouterr()
    tokens = [*sandbox.world.vault.access, *sandbox.world.vault.refresh, known.client_secret]
    kept = [path.read_text() for path in login_directory().iterdir()]
    assert len(kept) >= 2
    for text in (said.out, said.err, *kept):
        assert not any(token[-40:] in text for token in tokens)
    assert load_profile().confidential
    assert call() == 200
    assert {stat.S_IMODE(path.stat().st_mode) for path in login_directory().iterdir()} == {0o600}
    assert stat.S_IMODE(login_directory().stat().st_mode) == 0o700


def test_a_login_is_refreshed_by_the_next_process() -> None:
    with served(organizations=1, access_life=3600, user_token_life=3600) as sandbox:
        assert run(Person(sandbox)) == 0
        sandbox.world.vault.revoke_all_access()
        assert call() == 200
        assert call() == 200
        assert sandbox.stats.token_requests["refresh_token"] == {"ok": 1}


@pytest.mark.parametrize("delivery", ["fragment", "query"])
def test_an_implicit_login_is_kept_until_it_ends(delivery: str, caplog: pytest.LogCaptureFixture) -> None:
    with served(organizations=1, implicit_delivery=delivery) as sandbox:
        person = Person(sandbox)
        assert run(person, "--flow", "implicit") == 0
        assert "You can close this window" in person.pages[0]
        assert call() == 200
        assert sum(sandbox.stats.token_requests["refresh_token"].values()) == 0
        sandbox.world.vault.revoke_all_access()
        with pytest.raises(ReauthenticationRequiredError):
            call()
    assert ("query of the redirect" in caplog.text) == (delivery == "query")


@pytest.mark.parametrize("flow", ["code", "implicit"])
def test_row_109_denied_consent_is_not_logged_in(
    flow: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Person(sandbox, decision="deny")
    assert run(person, "--flow", flow) == 3
    assert "not logged in: the user or the server denied access: access_denied" in capsys.readouterr().err
    assert "did not let you in" in person.pages[0]
    assert not list(login_directory().glob("*.json"))


@pytest.mark.parametrize("flow", ["code", "implicit"])
def test_row_105_a_wrong_state_is_refused_and_the_wait_goes_on(
    flow: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    person = Person(sandbox, tamper=lambda redirect: redirect.replace("state=", "state=x"))
    assert run(person, "--flow", flow) == 0
    said = capsys.readouterr().err
    assert "refused an answer whose state is not the one of this login; still waiting" in said
    assert ["does not belong to the login" in page for page in person.pages] == [True, False]
    assert call() == 200


def test_what_the_server_says_commands_no_terminal(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    class Rude(Person):
        def _redirect(self, browser: httpx.Client, address: str) -> str:
            denial = "error_description=%1B%5B2Jgone%0Aline"
            return re.sub("error_description=[^&]*", denial, super()._redirect(browser, address))

    person = Rude(sandbox, decision="deny")
    assert run(person) == 3
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "[2Jgone" in said


def test_the_result_is_json_where_that_is_asked_for(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Person(sandbox), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "logged_in": True,
        "organization": sandbox.credentials.organization,
        "base_url": sandbox.url,
        "profile": str(login_directory() / "profile.json"),
        "store": "file",
        "client_secret_needed": False,
    }
    assert run(Person(sandbox, decision="deny"), "--json") == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert json.loads(said.err.splitlines()[-1])["error"]["kind"] == "RedirectError"


def test_the_wait_ends(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert login.main(words(sandbox, "--timeout", "0.2"), browse=bool) == 3
    assert "not logged in: no answer came from the browser within 0.2 s" in capsys.readouterr().err


def test_a_code_that_the_server_refuses(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = {"error": "invalid_grant", "error_description": "The authorization code has expired."}
    sandbox.faults.add(Fault(operation="create_token", status=400, body=refusal))
    assert run(Person(sandbox)) == 3
    said = capsys.readouterr().err
    assert "log in again" in said
    assert "Traceback" not in said


def test_a_wrong_client_secret_has_status_3(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYFY_CLIENT_SECRET", "wr0ng-secret")
    assert run(Person(sandbox), "--client-id", sandbox.credentials.client_id) == 3
    said = capsys.readouterr().err
    assert "check client_id and client_secret" in said
    assert "wr0ng-secret" not in said


@pytest.mark.parametrize(
    ("typed", "place"),
    [("2\n", 1), ("0\nx\n\n4\n 3 \n", 2), ("\u0663\n", 2), ("9" * 5000 + "\n02\n", 1)],
    ids=["first", "odd", "arabic", "huge"],
)
def test_one_of_several_organizations_is_picked(
    typed: str, place: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    with served(organizations=3) as sandbox:
        sandbox.world.tenants[sandbox.credentials.organizations[2]].name = "Evil\x1b[2J\u202e"
        assert run(Person(sandbox)) == 0
        assert load_profile().organization == sandbox.credentials.organizations[place]
        assert call() == 200
    said = capsys.readouterr().err
    assert "You belong to 3 organizations:" in said
    assert "\x1b" not in said
    assert said.count("Which one? [1-3]") == typed.count("\n")


@pytest.mark.parametrize("stdin", [io.StringIO(""), None])
def test_no_pick_keeps_the_login_and_says_so(
    stdin: io.StringIO | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with served(organizations=3) as sandbox:
        assert run(Person(sandbox)) == 1
        assert "no organization was picked" in capsys.readouterr().err
        assert load_profile().organization is None
        assert call() == 200
        mine = sandbox.credentials.organizations[1]
        assert run(Person(sandbox), "--organization", mine) == 0
        assert load_profile().organization == mine


def test_organizations_that_cannot_be_listed_do_not_lose_the_login(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.faults.add(Fault(operation="list_my_organizations", status=403, body={"message": "no"}, times=None))
    assert run(Person(sandbox)) == 1
    assert "your organizations could not be listed" in capsys.readouterr().err
    assert call() == 200


@pytest.mark.anyio
async def test_the_login_runs_on_both_event_loops(sandbox: Sandbox) -> None:
    person = Person(sandbox)
    options = login.parser().parse_args(words(sandbox))
    landed = await login._log_in(login._plan(options, person.visit))
    assert [one.id for one in landed.organizations or []] == [sandbox.credentials.organization]
    async with TallyfyClient(**login_settings()) as tallyfy:
        assert await me(tallyfy) == 200


def test_the_secret_is_asked_for_without_echo(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return sandbox.credentials.client_secret

    monkeypatch.setattr(getpass, "getpass", ask)
    assert run(Person(sandbox), "--client-id", sandbox.credentials.client_id, "--ask-secret") == 0
    assert prompts == ["Client secret: "]
    assert load_profile().confidential
    assert "TALLYFY_CLIENT_SECRET" in capsys.readouterr().out


def test_without_a_terminal_no_secret_is_asked_for(sandbox: Sandbox) -> None:
    line = command(sandbox, "--ask-secret")
    done = subprocess.run(line, input="s3cr3t\n", capture_output=True, text=True, check=False, start_new_session=True)
    assert done.returncode == 2
    assert "no terminal that can hide what is typed" in done.stderr
    assert "Warning" not in done.stderr


def command(sandbox: Sandbox, *more: str) -> list[str]:
    return attentive("login", *words(sandbox, "--no-browser", *more))


@contextmanager
def started(sandbox: Sandbox, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the real command; give it with the address that it prints, and kill it if it is still there at the end."""
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(sandbox, *more), text=True, **pipes) as process:
        try:
            assert process.stderr is not None
            assert "Open this address" in process.stderr.readline()
            address = process.stderr.readline().strip()
            assert "Ctrl-C" in process.stderr.readline()
            yield process, address
        finally:
            process.kill()


def test_the_real_command_logs_in_and_another_process_uses_it(sandbox: Sandbox) -> None:
    with started(sandbox) as (process, address):
        Person(sandbox).visit(address)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "Logged in" in out
    script = (
        "import anyio; from tallyfy_async import TallyfyClient; from tallyfy_async.auth.profile import login_settings\n"
        "async def main():\n"
        "    async with TallyfyClient(**login_settings()) as tallyfy: print((await tallyfy.me.get()).email)\n"
        "anyio.run(main)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == sandbox.credentials.username


_BROWSER = """
import os, sys, time
print("opening in the existing session", flush=True)
open(sys.argv[1], "w").write(f"{os.getpid()} {sys.argv[2]}")
os.replace(sys.argv[1], sys.argv[1] + ".ready")
time.sleep(60)
"""


@pytest.mark.once
@pytest.mark.skipif(os.name != "posix", reason="the browser is named as POSIX systems do")
def test_a_browser_neither_writes_to_our_output_nor_holds_it_open(sandbox: Sandbox, tmp_path: Path) -> None:
    script, note = tmp_path / "browser.py", tmp_path / "note"
    script.write_text(_BROWSER)
    environment = {**os.environ, "BROWSER": f"{sys.executable} {script} {note} %s"}
    line = attentive("login", *words(sandbox, "--json"))
    ready, pid = Path(f"{note}.ready"), 0
    with (
        (tmp_path / "err").open("w") as err,
        subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=err, text=True) as process,
    ):
        try:
            anyio.run(until, ready.exists)
            number, address = ready.read_text().split(" ", 1)
            pid = int(number)
            Person(sandbox).visit(address)
            out, _ = process.communicate(timeout=30)  # the browser is still there
        finally:
            process.kill()
            if pid:
                os.kill(pid, signal.SIGKILL)
    assert process.returncode == 0
    assert json.loads(out)["logged_in"] is True
    assert "existing session" in (tmp_path / "err").read_text()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_row_114_ctrl_c_ends_the_wait_and_frees_the_port(sandbox: Sandbox) -> None:
    with started(sandbox) as (process, address):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "interrupted\n")
    port = urlsplit(parse_qs(urlsplit(address).query)["redirect_uri"][0]).port
    with started(sandbox, "--port", str(port)) as (_, address):
        assert f"127.0.0.1%3A{port}%2Fcallback" in address


def test_the_environment_names_client_and_server(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYFY_CLIENT_ID", sandbox.credentials.public_client_id)
    monkeypatch.setenv("TALLYFY_BASE_URL", f"{sandbox.url}/")
    monkeypatch.setenv("TALLYFY_TOKEN_URL", f"{sandbox.url}/oauth/token")
    person = Person(sandbox)
    line = ["--authorize-url", sandbox.authorize_url, "--store", "file", "--timeout", "20"]
    assert login.main(line, browse=person.visit) == 0
    assert call() == 200


def test_another_directory_is_named_in_the_summary(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "else where"
    assert run(Person(sandbox), "--directory", str(place)) == 0
    assert f"TallyfyClient.from_login({str(place)!r})" in capsys.readouterr().out
    assert load_profile(place) == load_profile(str(place))
    assert isinstance(login_settings(place)["token_store"], FileStore)
    assert json.loads((place / "profile.json").read_text())["version"] == 1
