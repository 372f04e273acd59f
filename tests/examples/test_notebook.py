"""The notebook: it is kept without outputs, and every cell runs in a kernel of Jupyter's."""

from __future__ import annotations

import ast
import json
import os
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.examples.rig import EXAMPLES, enter, environment
from tests.helpers import small_sandbox

pytestmark = pytest.mark.once
PATH = EXAMPLES / "notebook" / "explore.ipynb"


def test_it_is_valid_and_holds_no_outputs() -> None:
    kept = json.loads(PATH.read_text("utf-8"))
    nbformat.validate(kept)
    for cell in kept["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
        assert cell["metadata"] == {}


def test_every_cell_runs_in_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    notebook = nbformat.read(PATH, as_version=4)
    with small_sandbox().serve() as sandbox:
        enter(monkeypatch, sandbox)
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    hello, counts, used, late, end = map(shown, codes(notebook.cells))
    assert hello == f"'{sandbox.credentials.username} in Analytical Engines'"
    truth = sandbox.truth()
    assert counts == f"({len(truth['runs'])}, {len(truth['checklists'])})"
    assert len(used.splitlines()) == len(truth["checklists"])
    assert "▇" in used
    assert "'late tasks': " in late
    assert end == ""


def codes(cells: list[Any]) -> list[Any]:
    return [cell for cell in cells if cell["cell_type"] == "code"]


def shown(cell: Any) -> str:
    """Return what a cell shows, as text."""
    return "".join(one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell.outputs)


@pytest.mark.anyio
async def test_it_looks_at_a_local_tallyfy_where_there_is_no_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("TALLYFY_")]:
        monkeypatch.delenv(name)
    names: dict[str, Any] = {}
    for cell in codes(json.loads(PATH.read_text("utf-8"))["cells"]):
        code = compile("".join(cell["source"]), cell["id"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if (waiting := eval(code, names)) is not None:
            await waiting
    assert len(names["runs"]) == len(names["Sandbox"]().truth()["runs"])
    assert capsys.readouterr().out.count("▇") == sum(count for _, count in names["used"].most_common(8)) > 0
    assert "closed" in repr(names["tallyfy"])
