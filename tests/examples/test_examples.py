"""What is said about the examples: what they need, and how they are run."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.rig import EXAMPLES, environment, example

pytestmark = pytest.mark.once
SCRIPTS = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py"))
_NEEDS = re.compile(r"``pip install ([^`]+)``")


def imported(text: str) -> set[str]:
    """Return the names of the packages that a module's code imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def installed(words: str) -> set[str]:
    """Return what a command installs, by the names that Python imports; an extra is called as what it brings."""
    names = {word.strip('"').partition("[")[0].replace("-", "_") for word in words.split()}
    extras = re.findall(r"tallyfy-async\[([\w,]+)\]", words)
    return names | {extra for group in extras for extra in group.split(",")}


@pytest.mark.parametrize("path", SCRIPTS)
def test_what_an_example_needs_is_what_it_says(path: str) -> None:
    place = EXAMPLES / path
    text = place.read_text("utf-8")
    neighbours = {one.stem for one in place.parent.glob("*.py")} if place.parent != EXAMPLES else set()
    foreign = imported(text) - set(sys.stdlib_module_names) - neighbours - {"anyio", "tallyfy_async"}
    said = ast.get_docstring(ast.parse(text)) or ""
    match = _NEEDS.search(" ".join(said.split()))
    if match is None:
        assert not foreign
        return
    brought = {"slack_sdk": "slack_bolt"}
    assert {brought.get(name, name) for name in foreign} <= installed(match[1])


@pytest.mark.parametrize("path", SCRIPTS)
def test_every_example_is_in_the_table(path: str) -> None:
    table = (EXAMPLES / "README.md").read_text("utf-8")
    folder = Path(path).parent.name
    assert f"({folder}/)" in table if folder else f"({path})" in table


@pytest.mark.parametrize("path", SCRIPTS)
def test_every_variable_is_named(path: str) -> None:
    text = (EXAMPLES / path).read_text("utf-8")
    said = ast.get_docstring(ast.parse(text)) or ""
    for name in re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", text):
        assert name in said


def test_a_command_finds_a_tallyfy(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import anyio, json; from tallyfy_async import TallyfyClient\n"
        "async def main():\n"
        "    async with TallyfyClient.from_env() as tallyfy:\n"
        "        print(json.dumps([(await tallyfy.me.get()).email, tallyfy.organization().id]))\n"
        "anyio.run(main)\n"
        "raise SystemExit(3)"
    )
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "on_sandbox.py"), sys.executable, "-c", code],
        cwd=EXAMPLES.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    email, organization = json.loads(done.stdout)
    assert "@" in email
    assert len(organization) == 32


def test_no_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with example("on_sandbox.py") as module:
        assert module.main() == 2
    assert "on_sandbox.py python examples/sync_job/sync.py" in capsys.readouterr().err
