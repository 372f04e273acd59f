from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest
from attrs import asdict

from tallyfy_async.engine.report import Problem
from tallyfy_async.sandbox import Settings
from tallyfy_async.sandbox.__main__ import main, parser

KEYS = {"url", "organization", "client_id", "client_secret", "username", "password", "personal_token"}
KEYS |= {"authorize_url", "organizations", "public_client_id", "redirect_uris"}
SMALL = ("--runs", "5", "--tasks", "60", "--users", "5")


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tallyfy_async.sandbox", *SMALL, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def login(mine: dict[str, Any]) -> dict[str, Any]:
    data = {"grant_type": "password", **{k: mine[k] for k in ("client_id", "client_secret", "username", "password")}}
    reply = httpx.post(f"{mine['url']}/oauth/token", data=data)
    assert reply.status_code == 200, reply.text
    tokens: dict[str, Any] = reply.json()
    return tokens


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_of_json_then_service_then_a_clean_end(number: signal.Signals) -> None:
    process = start("--token-life", "2", "--seed", "3")
    try:
        assert process.stdout is not None
        mine = json.loads(process.stdout.readline())
        assert set(mine) == KEYS
        tokens = login(mine)
        assert tokens["expires_in"] == 2
        headers = {"Authorization": f"Bearer {mine['personal_token']}", "X-Tallyfy-Client": "x"}
        runs = httpx.get(f"{mine['url']}/organizations/{mine['organization']}/runs?archived=true", headers=headers)
        assert runs.json()["meta"]["pagination"]["total"] == 5
        root = mine["url"].removesuffix("/api")
        assert mine["authorize_url"] == f"{root}/oauth/authorize"
        visit = {"client_id": mine["client_id"], "response_type": "code", "redirect_uri": mine["redirect_uris"][0]}
        assert "<form" in httpx.get(mine["authorize_url"], params=visit).text
        assert len(httpx.get(f"{root}/_sandbox/truth").json()["tasks"]) == 60
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_ends_with_its_parent_when_asked() -> None:
    command = [sys.executable, "-m", "tallyfy_async.sandbox", *SMALL, "--until-eof"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        assert process.stdin is not None
        mine = json.loads(process.stdout.readline())
        assert login(mine)["expires_in"] == 3600
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_weather_is_announced_through_the_proxy() -> None:
    process = start("--faults", "many")
    try:
        assert process.stdout is not None
        mine = json.loads(process.stdout.readline())
        headers = {"Authorization": f"Bearer {mine['personal_token']}", "X-Tallyfy-Client": "x"}
        seen: set[object] = set()
        with httpx.Client(headers=headers) as http:
            for number in range(400):
                try:
                    reply = http.get(f"{mine['url']}/organizations/{mine['organization']}/users?page={number}")
                    seen.add(reply.status_code)
                except httpx.TransportError:
                    seen.add("cut")
        assert seen == {200, 429, 503, "cut"}
    finally:
        process.terminate()
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; sys.path.insert(0, '.'); "
    code += "import runpy; sys.argv = ['x']; runpy.run_module('tallyfy_async.sandbox', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert 'pip install "tallyfy-async[sandbox]"' in done.stderr
    assert missing in done.stderr
    assert done.stdout == ""


def test_importing_the_package_needs_no_extra() -> None:
    code = (
        "import sys; sys.modules.update(starlette=None, uvicorn=None); import tallyfy_async.sandbox as s; s.Settings()"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("arguments", [["--tasks", "-1"], ["--league", "7"], ["--what"]])
def test_bad_arguments_end_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().out == ""


def test_flags_have_the_defaults_of_the_settings() -> None:
    options = vars(parser().parse_args([]))
    for name in ("host", "port", "seed", "faults", "db", "until_eof", "json"):
        options.pop(name)
    assert Settings(**options) == Settings()


def test_unusable_address_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--host", "203.0.113.7"]) == 1
    captured = capsys.readouterr()
    assert "cannot listen on 203.0.113.7:0" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "kind", "status"),
    [(["--what"], "UsageError", 2), (["--tasks", "-1"], "UsageError", 2), (["--host", "203.0.113.7"], "OSError", 1)],
)
def test_errors_as_json(arguments: list[str], kind: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        sys.exit(main([*SMALL, *arguments, "--json"]))
    captured = capsys.readouterr()
    error = json.loads(captured.err)["error"]
    assert (stopped.value.code, captured.out, error["kind"], error["exit_status"]) == (status, "", kind, status)
    assert error.keys() == {*asdict(Problem(kind="", message="")), "exit_status"}


def test_unknown_public_name() -> None:
    with pytest.raises(ImportError, match="Nonsense"):
        from tallyfy_async.sandbox import Nonsense  # type: ignore[attr-defined]  # noqa: F401
