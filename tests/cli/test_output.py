"""Standard output and standard error that take nothing, or not everything."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import Any

import pytest

from tallyfy_async import TallyfyClient, errors
from tallyfy_async.cli import output
from tallyfy_async.cli.screen import Screen
from tallyfy_async.sandbox import Sandbox
from tests.cli.terminal import Terminal, tenant


class Broken(io.StringIO):
    """A stream that fails."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_an_encoding_lacks_is_spelled_out(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    Screen().table(["name"], [["Zoë 日本"]])
    head, rule, row = written.getvalue().decode(encoding).splitlines()
    assert head == "name"
    assert set(rule) == {"─" if encoding == "utf-8" else "-"}
    spelled = {"ascii": "Zo\\xeb \\u65e5\\u672c", "cp1252": "Zoë \\u65e5\\u672c", "utf-8": "Zoë 日本"}
    assert row == spelled[encoding]


def test_streams_that_were_closed_before_are_no_error(
    tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert [tallyfy(*words).status for words in (["runs", "list"], ["whoami", "--json"], ["operations"])] == [0] * 3
    monkeypatch.setattr(sys, "stderr", None)
    assert tallyfy("runs", "archive", "nothing").status == 4


@pytest.mark.parametrize(
    "line", ["runs list", "runs list --json", "whoami --json", "--help", "operations", "operations --json"]
)
def test_a_full_disk_is_told_with_status_1(
    line: str, tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(FULL))
    said = tallyfy(*line.split())
    assert said.status == 1
    if "--json" in line:
        assert (said.error["kind"], said.error["exit_status"]) == ("OSError", 1)
    else:
        assert said.err == "cannot write: No space left on device\n"


def test_a_reader_that_left_does_not_change_what_a_command_ends_with(
    tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(BrokenPipeError()))
    assert tallyfy("runs", "list").status == 0
    run = next(iter(tenant(user).runs))
    said = tallyfy("runs", "archive", run, run, "--json")
    assert (said.status, said.error["kind"]) == (4, "NotFoundError")
    monkeypatch.setattr(sys, "stderr", Broken(BrokenPipeError()))
    assert tallyfy("runs", "archive", run).status == 4


def test_what_a_closed_pipe_does_not_take_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        output.out("x")
        gone.write("nobody reads this")
        gone.flush()


def test_a_path_that_no_system_takes(tallyfy: Terminal, user: Sandbox) -> None:
    said = tallyfy("runs", "list", "--directory", "a" * 5000, "--json")
    assert (said.status, said.out, said.error["kind"]) == (1, "", "StoreError")


@pytest.mark.parametrize("words", [["runs", "list", "--bogus"], ["runs", "lst"], ["runs", "list", "--limit", "0"], []])
def test_a_wrong_command_line_is_told_as_json_too(words: list[str], tallyfy: Terminal) -> None:
    said = tallyfy(*words, "--json")
    assert (said.status, said.out) == (2, "")
    assert said.error["kind"] == "UsageError"
    assert said.error["message"]


def test_an_error_as_json_has_what_programs_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.ValidationError(
        "no", status=422, method="POST", path="/x", request_id="r1", fields={"name": ["is required"]}
    )
    error.add_note("Authorization: Bearer s3cr3t-t0ken")
    output.complain("", error, 4, as_json=True)
    told: dict[str, Any] = json.loads(capsys.readouterr().err)["error"]
    assert told.keys() == {"kind", "message", "status", "code", "request_id", "fields", "exit_status"}
    assert (told["kind"], told["status"], told["request_id"], told["exit_status"]) == ("ValidationError", 422, "r1", 4)
    assert told["fields"] == {"name": "is required"}
    assert "s3cr3t" not in told["message"]


def test_the_log_tells_attempts_where_it_is_wanted(
    tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert tallyfy("runs", "list").status == 0
    assert "list_runs" not in caplog.text
    monkeypatch.setattr("tallyfy_async.config.configure_logging", lambda level: caplog.set_level(level.upper()))
    monkeypatch.setenv("TALLYFY_LOG", "DEBUG")
    with caplog.at_level("DEBUG", logger="tallyfy_async"):
        assert tallyfy("runs", "list").status == 0
    assert "list_runs: GET /organizations/{org}/runs, attempt 1 -> 200" in caplog.text
    monkeypatch.setenv("TALLYFY_LOG", "loud")
    said = tallyfy("organizations")
    assert (said.status, said.err) == (2, "TALLYFY_LOG must be debug or info\n")


@pytest.mark.parametrize("hooks", [5, None, "hooks", [object()]])
def test_a_log_beside_wrong_hooks_is_a_configuration_error(hooks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", "token")
    monkeypatch.setenv("TALLYFY_LOG", "debug")
    monkeypatch.setattr("tallyfy_async.config.configure_logging", lambda _level: None)
    with pytest.raises(errors.ConfigurationError, match="hooks must be a list of instances of Hooks"):
        TallyfyClient.from_env(hooks=hooks)


def test_an_interrupt_while_a_command_is_loaded(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_module: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tallyfy_async.__main__.import_module", interrupt)
    said = tallyfy("whoami")
    assert (said.status, said.out, said.err) == (130, "", "interrupted\n")
