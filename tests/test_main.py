from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tallyfy_async import __main__ as entry
from tallyfy_async import __version__, operations

_BARE = """
import sys
sys.modules.update(dict.fromkeys(("rich", "starlette", "uvicorn", "typer")))
from tallyfy_async.__main__ import main
sys.exit(main({words!r}))
"""


def bare(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an interpreter that has no extra."""
    return subprocess.run(
        [sys.executable, "-c", _BARE.format(words=list(words))], capture_output=True, text=True, check=False
    )


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tallyfy_async", *words], capture_output=True, text=True, check=False)


def test_help_works_without_extras_and_names_them() -> None:
    done = bare("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert 'demo and sandbox need. The remedy: pip install "tallyfy-async[sandbox]"' in done.stdout
    for command in ("demo", "sandbox", "operations"):
        assert f"  {command}" in done.stdout


def test_help_with_extras_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--help"]) == 0
    assert "pip install" not in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == bare("--version").stdout == f"tallyfy-async {__version__}\n"


@pytest.mark.parametrize("words", [["bogus"], [], ["--bogus"], ["operations", "--xml"]])
def test_usage_errors_have_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        sys.exit(entry.main(words))
    assert exit_.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.casefold().startswith("usage: ")


@pytest.mark.parametrize("words", [["bogus"], [], ["--bogus"], ["--", "demo"]])
def test_usage_errors_have_status_2_without_extras_too(words: list[str]) -> None:
    done = bare(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m tallyfy_async")


@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_a_missing_extra_is_named_with_status_2(command: str) -> None:
    done = bare(command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert 'pip install "tallyfy-async[sandbox]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_operations_as_json_is_the_registry_and_needs_no_extra() -> None:
    done = bare("operations", "--json")
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    assert [row["id"] for row in rows] == [operation.id for operation in operations()]
    launch = next(row for row in rows if row["id"] == "launch_run")
    assert launch == {
        "id": "launch_run",
        "method": "POST",
        "path": "/organizations/{org}/runs",
        "scopes": ["process"],
        "confidence": "verified",
        "resource": "org.runs",
        "call": "org.runs.launch",
    }


def test_in_this_process_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["operations", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(operations())
    with pytest.raises(SystemExit) as exit_:
        entry.main(["demo", "--tasks", "0"])
    assert exit_.value.code == 2
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "tallyfy-async[sandbox]"' in entry.parser().format_help()


def test_operations_as_text_has_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["operations"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(operations())
    assert all(operation.call in line for operation, line in zip(operations(), lines, strict=True))


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "tallyfy_async", "operations", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_commands_get_their_own_options() -> None:
    demo, sandbox = run("demo", "--help"), run("sandbox", "--help")
    assert demo.returncode == sandbox.returncode == 0
    assert "--faults {none,some,many}" in demo.stdout
    assert "--token-life SECONDS" in sandbox.stdout
