"""What is shown where: in pipes and in terminals."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve

from tallyfy_async.cli import app, commands, output, table
from tallyfy_async.cli.output import plain
from tallyfy_async.cli.screen import Screen
from tallyfy_async.cli.table import fitting
from tallyfy_async.sandbox import Sandbox
from tests.cli.terminal import Terminal, lines, tenant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ("a\tb\r\nc\x9b1m", "a b  c 1m"),
        (datetime(2026, 12, 1, 9, 30, tzinfo=UTC), "2026-12-01 09:30"),
        (datetime(2026, 12, 1, 9, 30, tzinfo=timezone(timedelta(hours=2))), "2026-12-01 07:30"),
    ],
)
def test_values_are_one_line_of_text(value: object, text: str) -> None:
    assert plain(value) == text


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_fits_the_terminal_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", screen := Tty())
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    Screen().table(["id", "name"], [["0123456789" * 3, "word " * 20]])
    shown = re.sub("\x1b[^m]*m", "", screen.getvalue())
    assert max(map(len, shown.splitlines())) <= 40
    assert shown.count("word") == 20


def test_a_narrow_terminal_shares_its_width_among_the_columns() -> None:
    rows = [("a" * 4, "b" * 30, "c" * 11)]
    assert fitting(rows, None) == fitting(rows, 49) == [4, 30, 11]
    assert fitting(rows, 40) == [4, 21, 11]
    assert fitting(rows, 29) == [4, 11, 10]
    assert fitting(rows, 3) == [1, 1, 1]
    assert fitting([("日本", "")], None) == [4, 0]


def test_wide_signs_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(["name", "n"], [["日本", 1], ["Zoë", 2]])
    assert capsys.readouterr().out == "name  n\n────  ─\n日本  1\nZoë   2\n"


def test_what_fits_is_not_measured_by_rich(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def slow(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(table, "Text", slow)  # it takes milliseconds for a row
    monkeypatch.setattr(table, "cell_len", slow)
    Screen().table(["id", "name"], ([number, f"Row {number}"] for number in range(1000)))
    assert len(capsys.readouterr().out.splitlines()) == 1002


def test_nothing_to_show_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(["id", "name"], [])
    Screen().facts({}, [])
    assert capsys.readouterr().out == "id  name\n──  ────\n"


def test_a_pipe_gets_each_row_in_a_line(user: Sandbox, tallyfy: Terminal) -> None:
    run = next(iter(tenant(user).runs.values()))
    run.name = "long " * 100
    assert len(lines(tallyfy("runs", "list").out)) == user.settings.runs


def test_progress_is_shown_on_a_terminal_and_on_standard_error_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Screen(as_json=True).progress("launched", 7) as shown:
        shown(3)
        shown(7)
    said = capsys.readouterr()
    assert said.out == ""
    assert "launched" in said.err
    assert "7/7" in said.err
    monkeypatch.delenv("FORCE_COLOR")
    with Screen().progress("launched", 7) as shown:
        shown(7)
    assert capsys.readouterr() == ("", "")


def test_an_interruption_is_status_130(tallyfy: Terminal, user: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "out", interrupt)
    said = tallyfy("organizations")
    assert (said.status, said.err) == (130, "interrupted\n")
    assert tallyfy("organizations", "--json").error["exit_status"] == 130


def test_the_application_is_a_module_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tallyfy-async", "--version"])
    assert app.main() == 0
    command = [sys.executable, "-m", "tallyfy_async.cli.app", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, capsys.readouterr().out)


@pytest.mark.parametrize(("ends", "status"), [(SystemExit(), 0), (SystemExit("no"), 1), (SystemExit(7), 7)])
def test_however_a_command_ends_its_status_is_a_number(
    ends: SystemExit, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(**_: Any) -> None:
        raise ends

    monkeypatch.setattr(app, "get_command", lambda _app: command)
    assert app.main([]) == status


def test_options_are_values() -> None:
    options = commands.Options(json=True)
    assert evolve(options, json=False) == commands.Options()
