"""Whatever a file holds, its scan ends soon, and what was left out is told."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tallyfy_async.cli.endpoints import main
from tallyfy_async.scan import Tally, scan
from tallyfy_async.scan.effort import Effort
from tallyfy_async.scan.source import Source
from tallyfy_async.scan.tree import DENSE, findings_of
from tests.scan.hostile import FILES

ROOT = Path(__file__).parents[2]
_SECONDS = 100
"""Of the processor, not of a clock; a tenth is enough. Any one of the files would take hours if the work grew faster
than its size."""


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))


@pytest.mark.once
def test_no_file_holds_the_scanner_up() -> None:
    words = [sys.executable, "-m", "tests.scan.hostile"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, preexec_fn=_bounded, check=False)
    ends = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, f"the one after {list(ends)[-1:]} took too long: {done.stderr[-500:]}"
    assert ends.keys() == FILES.keys()
    cut = {name for name, end in ends.items() if end.endswith("in part")}
    assert {"calls.js", "words.js", "postman.json", "openapi.yaml", "other_methods.js"} <= cut
    assert all(int(ends[name].split()[0]) >= 900 for name in cut - {"other_methods.js"}), ends
    assert {"deep.json", "deep.ipynb"} <= cut  # scanned as text, since they are no documents of these kinds


def test_what_was_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.js"
    file.write_text("// Tallyfy\n" + "fetch(`${BASE}/countries`);\n" * 1_700)
    tally = Tally()
    found = list(scan([file], tally=tally))
    assert 900 < len(found) < 2_000
    assert [one.line for one in found] == list(range(2, len(found) + 2))  # the first ones, not any
    assert (tally.skipped, tally.notes) == ({DENSE: 1}, [(str(file), DENSE)])
    assert main(["check", str(file), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["notes"] == [{"path": str(file), "reason": DENSE}]
    assert f"skipped: {file}: {DENSE}" in err
    assert main(["check", str(file), "--format", "sarif"]) == 1
    (invocation,) = json.loads(capsys.readouterr().out)["runs"][0]["invocations"]
    (told,) = invocation["toolExecutionNotifications"]
    assert DENSE in told["message"]["text"]


def test_fixing_a_dense_file_again_and_again_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.js"
    file.write_text("// Tallyfy\n" + "fetch(`${BASE}/countries`);\n" * 1_100)
    rounds = 0
    while "/countries" in file.read_text().replace("/utils/countries", ""):
        main(["check", str(file), "--fix"])
        rounds += 1
        assert rounds < 5
    assert main(["check", str(file)]) == 0
    assert file.read_text() == "// Tallyfy\n" + "fetch(`${BASE}/utils/countries`);\n" * 1_100


@pytest.mark.parametrize("name", ["a.js", "a.py"])
def test_what_comes_first_is_found_first(name: str) -> None:
    head = "# tallyfy\n" if name == "a.py" else "// tallyfy\n"
    text = head + 'client.get("/countries")\n' + 'client.get("/url-check")\n' * 20
    effort = Effort(left=1_000)
    found = findings_of(name, Source(text=text), effort)
    assert effort.spent
    assert found[0].rule == "TFY002"
    assert 1 <= len(found) <= 5


def test_python_that_is_too_large_for_a_tree_is_scanned_as_text() -> None:
    text = '# tallyfy\nclient.get(BASE + "/countries")\n' + "x = 1\n" * 200_000
    effort = Effort()
    assert [one.rule for one in findings_of("a.py", Source(text=text), effort)] == ["TFY002"]
    assert not effort.spent
