"""The command: what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tallyfy_async
from tallyfy_async.cli.endpoints import main
from tallyfy_async.scan import RULES

OLD = '# Tallyfy\nclient.get(BASE + "/countries")\nclient.get(BASE + "/organizations/" + org + "/permissions")\n'


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.py").write_text(OLD)
    (folder / "b.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["check", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_text(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "src")
    assert code == 1
    assert out.splitlines() == [
        "src/a.py:2:19: TFY002 GET /countries was renamed on 2018-11-08: call GET /utils/countries [fixable]",
        "src/a.py:3:19: TFY020 GET /organizations/{org}/permissions was removed on 2018-11-08 without replacement",
    ]
    assert err == "2 files, 2 found, 1 that --fix can rewrite\n"


def test_clean(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "src/b.py") == (0, "", "1 files, 0 found\n")


def test_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "src", "--format", "json")
    body = json.loads(out)
    assert code == 1
    assert body["files"] == 2
    assert body["findings"][0] == {
        "path": "src/a.py",
        "line": 2,
        "column": 19,
        "rule": "TFY002",
        "old": "GET /countries",
        "new": "GET /utils/countries",
        "message": "GET /countries was renamed on 2018-11-08: call GET /utils/countries",
        "fixable": True,
        "fixed": False,
    }
    assert json.loads(run(capsys, "src/b.py", "--format", "json")[1])["findings"] == []


def test_the_option_json_is_the_format_json_and_says_nothing_else(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "src", "--json")
    assert (code, err) == (1, "")
    assert out == run(capsys, "src", "--format", "json")[1]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["src", "nowhere", "--json"], "ConfigurationError"),
        (["src", "--json", "--bogus"], "UsageError"),
        (["src", "--json", "--format", "sarif"], "UsageError"),
        (["--json"], "UsageError"),
    ],
)
def test_errors_as_json(words: list[str], kind: str, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        sys.exit(main(["check", *words]))
    out, err = capsys.readouterr()
    error = json.loads(err)["error"]
    assert (end.value.code, out, error["kind"], error["exit_status"]) == (2, "", kind, 2)


_MEMBERS = {
    "sarifLog": {"$schema", "version", "runs"},
    "run": {"tool", "invocations", "columnKind", "results"},
    "toolComponent": {"name", "version", "informationUri", "rules"},
    "reportingDescriptor": {"id", "name", "shortDescription"},
    "invocation": {"executionSuccessful", "toolExecutionNotifications"},
    "notification": {"level", "message", "locations"},
    "result": {"ruleId", "ruleIndex", "level", "message", "locations"},
}
"""Those members of each object of the schema that are in use; it allows no others than its own."""


def check_sarif(log: dict[str, Any]) -> None:
    """Check what the schema of SARIF 2.1.0 demands of the parts in use; its licence keeps it out of this project."""
    assert log.keys() == _MEMBERS["sarifLog"]
    assert log["version"] == "2.1.0"
    (run_,) = log["runs"]
    driver = run_["tool"]["driver"]
    assert run_["tool"].keys() == {"driver"}
    for objects, kind in (
        ([run_], "run"),
        ([driver], "toolComponent"),
        (driver["rules"], "reportingDescriptor"),
        (run_["invocations"], "invocation"),
        (run_["invocations"][0]["toolExecutionNotifications"], "notification"),
        (run_["results"], "result"),
    ):
        assert all(one.keys() == _MEMBERS[kind] for one in objects)
    assert driver["name"]
    assert driver["version"] == tallyfy_async.__version__
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert run_["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    for one in (*run_["results"], *run_["invocations"][0]["toolExecutionNotifications"]):
        assert one["level"] in {"none", "note", "warning", "error"}
        assert one["message"]["text"]
        (location,) = one["locations"]
        assert location.keys() == {"physicalLocation"}
        place = location["physicalLocation"]["artifactLocation"]
        assert place.keys() == {"uri"}
        assert not set(place["uri"]) & set(' \\"<>^`{|}')
    for result in run_["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region.keys() == {"startLine", "startColumn"}
        assert min(region.values()) >= 1


def test_sarif(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "with space % ü.py").write_text(OLD)
    code, out, _ = run(capsys, str(tree), "src", "--format", "sarif")
    log = json.loads(out)
    assert code == 1
    check_sarif(log)
    uris = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in log["runs"][0]["results"]
    }
    assert uris == {f"file://{tree}/a.py", f"file://{tree}/with%20space%20%25%20%C3%BC.py"}
    clean = json.loads(run(capsys, "src/b.py", "--format", "sarif")[1])
    check_sarif(clean)
    assert clean["runs"][0]["results"] == []
    skipped = json.loads(run(capsys, "src", "--format", "sarif", "--max-size", "10")[1])
    check_sarif(skipped)
    assert len(skipped["runs"][0]["invocations"][0]["toolExecutionNotifications"]) == 2


@pytest.mark.parametrize("words", [["check"], [], ["check", "--format", "xml", "."], ["check", "--max-size", "0", "."]])
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_missing_path_is_usage(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "src", "nowhere") == (2, "", "no such file or folder: 'nowhere'\n")


def test_fix_shows_a_diff_and_rewrites(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "src", "--fix")
    assert code == 1
    assert out.splitlines()[0].endswith("call GET /utils/countries [fixed]")
    assert '-client.get(BASE + "/countries")\n+client.get(BASE + "/utils/countries")\n' in err
    assert (tree / "a.py").read_text() == OLD.replace("/countries", "/utils/countries")
    assert err.endswith("2 files, 2 found, 1 fixed\n")


def test_everything_fixed_is_a_success(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "a.py").write_text('# Tallyfy\nclient.get(BASE + "/countries")\n')
    assert run(capsys, "src", "--fix")[0] == 0
    assert run(capsys, "src", "--fix") == (0, "", "2 files, 0 found\n")


def test_diff_writes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "src", "--diff", "--format", "json")
    assert code == 1
    assert '+client.get(BASE + "/utils/countries")' in err
    assert (tree / "a.py").read_text() == OLD


def test_a_file_that_cannot_be_written_is_told(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    code, out, err = run(capsys, "src", "--fix")
    assert code == 1
    assert "[fixable]" in out
    assert "not fixed: src/a.py: " in err
    assert "is read-only" in err
    assert (tree / "a.py").read_text() == OLD


def test_skipped_files_are_told(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "src", "--max-size", "10")
    assert (code, out) == (0, "")
    assert err == "skipped: src/a.py: too large\n2 files, 0 found, 1 skipped (too large)\n"


def test_names_that_do_not_print(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(os.fsencode(tree / "a.py"), os.fsencode(tree) + b"/a\n\x1b[31m\xff.py")  # noqa: PTH104
    for form in ("text", "json", "sarif"):
        code, out, _ = run(capsys, "src", "--format", form)
        assert code == 1
        assert "\x1b" not in out
    assert "a%0A%1B%5B31m%FF.py" in out


def test_any_file(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "a.py").write_text('client.get(BASE + "/countries")\n')
    assert run(capsys, "src")[0] == 0
    assert run(capsys, "src", "--any-file")[0] == 1
    assert run(capsys, "src", "--any-file", "--exclude", "a.*")[0] == 0


def test_ctrl_c_while_files_are_rewritten(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    code, out, err = run(capsys, "src", "--fix")
    assert (code, out) == (130, "")
    assert err.endswith("interrupted\n")
    assert (tree / "a.py").read_text() == OLD
    assert {one.name for one in tree.iterdir()} == {"a.py", "b.py"}


def start(*words: str, closed: str = "", **streams: Any) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own, without the streams of the numbers in ``closed``."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tallyfy_async.__file__).parents[1])}
    shell = ["/bin/sh", "-c", " ".join(['exec "$@"', *(f"{number}>&-" for number in closed)]), "-"]
    return subprocess.Popen(
        [*shell, sys.executable, "-m", "tallyfy_async", "endpoints", "check", *words], env=environment, **streams
    )


@pytest.mark.once
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_full_disk_and_closed_streams(words: list[str], tree: Path) -> None:
    with open("/dev/full", "wb") as full, start("src", *words, stdout=full, stderr=subprocess.PIPE) as process:  # noqa: PTH123
        assert b"No space left on device" in process.communicate()[1].splitlines()[0]
    assert process.returncode == 1
    with open("/dev/full", "wb") as full, start("src/b.py", *words, stdout=subprocess.PIPE, stderr=full) as process:  # noqa: PTH123
        process.communicate()
    assert process.returncode == 0
    with start("src/b.py", *words, closed="12") as process:
        process.communicate()
    assert process.returncode == 0


@pytest.mark.once
def test_readers_that_have_seen_enough(tree: Path) -> None:
    for number in range(300):
        (tree / f"{number}.py").write_text(OLD)
    with start("src", "--fix", stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
    assert process.returncode == 1
    assert (tree / "299.py").read_text() != OLD  # it did its work all the same


def test_a_terminal_sees_progress_and_a_pipe_does_not(tree: Path) -> None:
    for number in range(70):
        (tree / f"{number}.txt").write_text("")
    first, second = pty.openpty()
    with start("src", "--format", "json", stdout=subprocess.PIPE, stderr=second) as ended:
        out = ended.communicate()[0]
    os.close(second)
    shown = os.read(first, 65536).decode()
    os.close(first)
    assert ended.returncode == 1
    assert json.loads(out)["files"] == 72
    assert "64 files, " in shown
    assert "72 files, 2 found" in shown
