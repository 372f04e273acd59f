"""The command line as scripts see it: exit statuses, pure standard output, completion, signals, missing extras."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from tallyfy_async import __main__ as entry
from tallyfy_async import __version__, errors
from tallyfy_async.cli import app as room
from tallyfy_async.cli.exits import ExitCode, NotLoggedInError, code_of
from tallyfy_async.sandbox import Fault, Sandbox
from tests.cli.terminal import Terminal
from tests.faults.rig import until
from tests.helpers import attentive

COMMANDS = [
    "whoami",
    "logout",
    "organizations",
    "doctor",
    "export",
    "checklists list",
    "templates list",
    "runs list",
    "runs launch",
    "runs archive",
    "processes list",
    "tasks list",
    "tasks complete",
    "tasks reopen",
]
_BARE = """
import sys
sys.modules.update(dict.fromkeys(("rich", "typer")))
from tallyfy_async.__main__ import main
sys.exit(main({words!r}))
"""


def real(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tallyfy_async", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, **more)


def bare(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", _BARE.format(words=list(words))]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_common_options(command: str) -> None:
    done = CliRunner().invoke(room.app, [*command.split(), "--help"])
    assert done.exit_code == 0
    for option in ("--json", "--organization", "--base-url", "--directory"):
        assert option in done.output


@pytest.mark.parametrize("command", ["login", "operations", "sandbox", "demo", "endpoints check"])
def test_commands_that_parse_their_own_words_take_json_too(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        entry.main([*command.split(), "--help"])
    assert end.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_help_lists_every_command_and_the_exit_statuses(tallyfy: Terminal) -> None:
    said = tallyfy("--help")
    assert (said.status, said.err) == (0, "")
    for name in {command.split()[0] for command in COMMANDS} | {"login", "operations", "sandbox", "demo", "endpoints"}:
        assert f"\n  {name} " in said.out
    assert "Exit status: 0 done" in said.out
    assert "130" in said.out
    assert "\n  launch " not in said.out  # the short form is not listed beside the long one


def test_the_version(tallyfy: Terminal) -> None:
    assert tallyfy("--version").out == f"tallyfy-async {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["bogus"],
        ["--bogus"],
        ["runs"],
        ["runs", "lst"],
        ["runs", "list", "--bogus"],
        ["runs", "launch"],
        ["runs", "archive"],
        ["runs", "list", "--limit", "0"],
        ["runs", "launch", "x", "--concurrency", "many"],
        ["tasks", "complete"],
    ],
)
def test_usage_errors_have_status_2_and_leave_standard_output_alone(words: list[str], tallyfy: Terminal) -> None:
    said = tallyfy(*words)
    assert (said.status, said.out) == (2, "")
    assert "Usage: tallyfy-async" in said.err


def test_nobody_is_logged_in(tallyfy: Terminal) -> None:
    said = tallyfy("runs", "list")
    assert (said.status, said.out) == (3, "")
    assert said.err == "not logged in: run `tallyfy-async login`, or set TALLYFY_ACCESS_TOKEN\n"
    said = tallyfy("runs", "list", "--json")
    assert (said.status, said.out, said.error["kind"]) == (3, "", "NotLoggedInError")


API: dict[str, Any] = {"status": 400, "method": "GET", "path": "/x"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 2),
        (errors.KickoffError("x"), 2),
        (NotLoggedInError("x"), 3),
        (errors.AuthenticationError("x", **API), 3),
        (errors.PersonalTokenRevokedError("x"), 3),
        (errors.InvalidClientError("x", status=401), 3),
        (errors.TokenRequestError("x", status=400), 3),
        (errors.TokenRequestError("x", status=429), 4),
        (errors.TokenRequestError("x"), 5),
        (errors.TokenRequestError("x", status=503), 5),
        (errors.InsufficientScopeError("x"), 4),
        (errors.PermissionDeniedError("x", **API), 4),
        (errors.NotFoundError("x", **API), 4),
        (errors.ValidationError("x", **API), 4),
        (errors.RateLimitError("x", **API), 4),
        (errors.ServerError("x", **API), 5),
        (errors.ServerError("x", **{**API, "method": "POST"}), 6),
        (errors.NotSentError("x"), 5),
        (errors.RequestTimeoutError("x"), 5),
        (errors.IndeterminateError("x"), 6),
        (errors.DecodeError("x"), 1),
        (errors.StoreError("x"), 1),
        (errors.PaginationError("x", seen=1), 1),
    ],
)
def test_the_exit_status_of_each_error(error: errors.TallyfyError, code: int) -> None:
    assert code_of(error) == code
    assert code_of(error) in ExitCode


@pytest.mark.parametrize(
    ("fault", "words", "status"),
    [
        ({"status": 403, "body": {"message": "no"}}, ["runs", "list"], 4),
        ({"status": 401, "body": {"message": "Unauthenticated."}}, ["runs", "list"], 3),
        ({"status": 200, "body": {"data": "what?"}}, ["runs", "list"], 1),
        ({"status": 503, "stage": "after"}, ["runs", "archive", "RUN"], 6),
    ],
)
def test_what_the_server_answers_decides_the_exit_status(
    fault: dict[str, Any], words: list[str], status: int, tallyfy: Terminal, user: Sandbox
) -> None:
    run = next(one.id for one in user.world.tenants[user.credentials.organization].runs.values() if not one.archived_at)
    operation = "archive_run" if "archive" in words else "list_runs"
    user.faults.add(Fault(operation=operation, times=None, **fault))
    said = tallyfy(*(run if word == "RUN" else word for word in words), "--json")
    assert (said.status, said.error["exit_status"]) == (status, status)
    assert said.error["status"] == (fault["status"] if fault["status"] in {403, 503} else None)
    text = tallyfy(*(run if word == "RUN" else word for word in words))
    assert text.status == status or "archive" in words
    assert said.error["kind"] in text.err or "archive" in words


def test_a_server_that_is_not_there_has_status_5(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", "token")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        said = tallyfy("whoami", "--base-url", url)
    assert (said.status, said.out) == (5, "")


@pytest.mark.parametrize("level", ["debug", "loud"])
def test_the_log_goes_to_standard_error(level: str, user: Sandbox) -> None:
    done = real("runs", "list", "--json", env={**os.environ, "TALLYFY_LOG": level})
    if level == "loud":
        assert (done.returncode, done.stdout) == (2, "")
        assert "TALLYFY_LOG must be debug or info" in done.stderr
    else:
        assert done.returncode == 0
        assert isinstance(json.loads(done.stdout), list)
        assert user.credentials.personal_token not in done.stderr


def test_standard_output_of_the_real_command_is_one_json_text(user: Sandbox) -> None:
    done = real("runs", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == user.settings.runs
    refused = real("runs", "archive", "nothing", "--json")
    assert refused.returncode == 4
    assert json.loads(refused.stdout) == {"archived": []}


@pytest.mark.parametrize("words", [["runs", "list", "--json"], ["runs", "list"], ["--help"]])
def test_a_reader_that_leaves_early_is_no_error(words: list[str], user: Sandbox) -> None:
    line = [sys.executable, "-m", "tallyfy_async", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(30)
        if "runs" in words:
            assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_ctrl_c_ends_cleanly_with_130(user: Sandbox) -> None:
    user.faults.add(Fault(operation="list_runs", delay=60, times=None))
    line = attentive("runs", "list", "--json")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            anyio.run(until, lambda: user.stats.concurrency > 0)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert json.loads(err)["error"]["kind"] == "Interrupted"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script(shell: str) -> None:
    done = real(env={**os.environ, "_TALLYFY_ASYNC_COMPLETE": f"source_{shell}"})
    assert done.returncode == 0
    assert "tallyfy-async" in done.stdout
    assert "_TALLYFY_ASYNC_COMPLETE" in done.stdout


_ASKED = {
    "bash": lambda line: {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
    "zsh": lambda line: {"_TYPER_COMPLETE_ARGS": line},
    "fish": lambda line: {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", [*_ASKED])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tallyfy-async runs l", ["list", "launch"]),
        ("tallyfy-async who", ["whoami"]),
        ("tallyfy-async tasks complete --ap", ["--approve"]),
        ("tallyfy-async processes launch --from", ["--from-csv"]),
    ],
)
def test_each_shell_is_told_how_a_line_goes_on(
    shell: str, line: str, words: list[str], tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_TALLYFY_ASYNC_COMPLETE", f"complete_{shell}")
    for name, value in _ASKED[shell](line).items():
        monkeypatch.setenv(name, value)
    said = tallyfy()
    assert (said.status, said.err) == (0, "")
    if shell == "zsh":
        assert re.findall(r'"([^"]+)":"', said.out) == words
    else:
        assert [one.split("\t")[0] for one in said.out.splitlines()] == words


@pytest.mark.once
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script_that_it_is_given(tmp_path: Path) -> None:
    launcher = tmp_path / "tallyfy-async"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tallyfy_async "$@"\n')
    launcher.chmod(0o700)
    script = """
    source <(_TALLYFY_ASYNC_COMPLETE=source_bash tallyfy-async)
    complete -p tallyfy-async
    COMP_WORDS=(tallyfy-async templates l) COMP_CWORD=2
    _tallyfy_async_completion tallyfy-async
    echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o default -F _tallyfy_async_completion tallyfy-async",
        "list",
    ]


def test_an_organization_is_exported(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    said = tallyfy("export", str(tmp_path / "out"), "--kind", "runs", "--json")
    assert (said.status, said.err) == (0, "")
    assert said.data["kinds"]["runs"]["rows"] == user.settings.runs
    assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize("words", [["operations", "--json"], ["operations"]])
def test_commands_of_their_own_are_handed_their_words(words: list[str]) -> None:
    assert CliRunner().invoke(room.app, words).exit_code == 0


@pytest.mark.parametrize("words", [["whoami"], ["runs", "list"], ["templates", "list", "--json"], ["doctor"]])
def test_without_the_extra_a_command_names_it(words: list[str]) -> None:
    done = bare(*words)
    assert (done.returncode, done.stdout) == (2, "")
    told = json.loads(done.stderr)["error"]["message"] if "--json" in words else done.stderr.removesuffix("\n")
    assert told == f'{words[0]} needs an extra: pip install "tallyfy-async[cli]" (typer is missing)'


def test_without_the_extra_the_others_work(tmp_path: Path) -> None:
    assert len(json.loads(bare("operations", "--json").stdout)) > 200
    assert bare("login", "--help").returncode == 0
    assert bare("sandbox", "--help").returncode == 0
    (tmp_path / "clean.py").write_text("x = 1\n")
    assert bare("endpoints", "check", str(tmp_path)).returncode == 0
    helped = bare("--help")
    assert helped.returncode == 0
    assert "organizations, checklists, templates, runs, processes, tasks, export and doctor need" in helped.stdout
    assert 'pip install "tallyfy-async[cli]"' in helped.stdout
