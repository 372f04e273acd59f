"""What the pages of the documentation hold, and how a page is run: its blocks in their order, in one directory."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator, Mapping
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from attrs import define, field, frozen

from tallyfy_async.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))

_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^>]*) -->\n)?^(?P<indent> *)```(?P<language>\S*)(?P<rest>[^\n]*)\n"
    r"(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_EXIT = re.compile(r"exit status (\d+)")
_EXTRAS = re.compile(r'^pip install "?tallyfy-async(?:\[([\w,]+)\])?"?(?: "?tallyfy-async.*)?$')
_STRICTNESS = ELLIPSIS | NORMALIZE_WHITESPACE


@frozen(kw_only=True)
class Block:
    """One block of code of a page.

    Attributes:
        page: path below docs/.
        line: where its fence stands, from 1.
        language: word after the fence.
        title: name of the file that it is, None for none.
        note: text of the comment right before it.
        code: what it says.

    """

    page: str
    line: int
    language: str
    title: str | None
    note: str
    code: str

    @property
    def name(self) -> str:
        """Where it stands, padded so that tracebacks name the page's own lines."""
        return f"docs/{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    text = (DOCS / page).read_text("utf-8")
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["rest"])
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start("language")) + 1,
                language=match["language"],
                title=None if title is None else title[1],
                note=match["note"] or "",
                code="".join(line.removeprefix(match["indent"]) for line in match["code"].splitlines(keepends=True)),
            )
        )
    return found


def compiled(block: Block) -> CodeType:
    """Compile a block of Python, which may await at its top level; its lines are those of the page."""
    code = "\n" * block.line + block.code
    return compile(code, str(DOCS / block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def awaits(block: Block) -> bool:
    """Tell whether a block of Python awaits at its top level."""
    here = block.language == "python" and block.title is None
    return here and bool(compiled(block).co_flags & inspect.CO_COROUTINE)


def _in_a_thread(work: Any, *arguments: Any) -> None:
    """Run something where no event loop runs, and raise what it raises."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@define(eq=False)
class Reader:
    """Somebody who types what a page says, in a directory of their own, with a sandbox in the place of Tallyfy.

    Attributes:
        directory: where the files of the page go.
        environment: of the commands.
        names: of the page's Python.
        checked: commands that were checked without being run.
        consoles: whether commands are run.

    """

    directory: Path
    environment: dict[str, str] = field(repr=False)
    names: dict[str, Any] = field(factory=lambda: {"__name__": "page"}, repr=False)
    checked: list[str] = field(factory=list)
    consoles: bool = True
    _servers: list[subprocess.Popen[str]] = field(factory=list)

    async def read(self, page: str) -> dict[str, Any]:
        """Run every block of a page and return the names that its Python left."""
        for block in blocks_of(page):
            await self.do(block)
        return self.names

    async def do(self, block: Block) -> None:
        """Run one block."""
        if block.title is not None:
            (self.directory / block.title).write_text(block.code, "utf-8")
        if block.language == "python" and block.title is None:
            await self._python(block)
        elif block.language == "python":
            compile(block.code, block.name, "exec")
        elif block.language == "console":
            if self.consoles:
                _in_a_thread(self._console, block)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "json":
            json.loads(block.code)
        else:
            pytest.fail(f"{block.name}: nobody knows how to run {block.language or 'a block without language'}")

    async def _python(self, block: Block) -> None:
        code = compiled(block)
        if awaits(block):
            await eval(code, self.names)
        else:
            _in_a_thread(exec, code, self.names)

    def _console(self, block: Block) -> None:
        lines = block.code.splitlines()
        assert lines, block.name
        assert lines[0].startswith("$ "), f"{block.name}: a console block begins with a command"
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            wanted = "\n".join(lines[start + 1 : end])
            self._command(lines[start][2:].partition("   #")[0].strip(), wanted, block)

    def _command(self, line: str, wanted: str, block: Block) -> None:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.environment[name] = os.path.expandvars(value.strip("\"'"))
            os.environ[name] = self.environment[name]
        elif line.startswith(("pip install ", "nox -s ", "python -m benchmarks ")):
            self._check(line, block)
        elif line.startswith(("python -m tallyfy_async.sandbox", "python -m tallyfy_async sandbox")):
            self._serve(line, block)
        elif line.startswith(("python ", "pytest")):
            self._run(line, wanted, block)
        else:
            pytest.fail(f"{block.name}: nobody knows how to run {line!r}")

    def _check(self, line: str, block: Block) -> None:
        """Check a command that installs or measures: what it names is there."""
        self.checked.append(line)
        if line.startswith("nox -s "):
            session = line.split()[2]
            assert f"def {session}(session" in (ROOT / "noxfile.py").read_text(), f"{block.name}: no session {session}"
        elif line.startswith("pip install "):
            match = _EXTRAS.match(line)
            assert match is not None, f"{block.name}: {line!r}"
            known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set((match[1] or "").split(",")) - {""} <= known.keys(), f"{block.name}: {line!r}"
        else:
            source = "".join(path.read_text() for path in (ROOT / "benchmarks").rglob("*.py"))
            flags = [word for word in shlex.split(line) if word.startswith("--")]
            assert all(f'"{flag}"' in source for flag in flags), f"{block.name}: {line!r}"

    def _words(self, line: str) -> tuple[list[str], Path | None]:
        words = shlex.split(line)
        target = self.directory / words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if ">" in words else words
        return ([sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", *words]), target

    def _serve(self, line: str, block: Block) -> None:
        """Start a sandbox as a page says, on a free port; its address is that of the page from now on."""
        words, target = self._words(line)
        if "--help" in words:
            self._run(line, "", block)
            return
        if "--port" in words:
            words[words.index("--port") + 1] = "0"
        pipe = subprocess.PIPE
        server = subprocess.Popen(words, stdout=pipe, text=True, env=self.environment, cwd=self.directory)
        self._servers.append(server)
        assert server.stdout is not None
        announced = server.stdout.readline()
        known = json.loads(announced)
        if target is not None:
            target.write_text(announced, "utf-8")
        self.environment |= variables(known)
        os.environ.update(variables(known))

    def _run(self, line: str, wanted: str, block: Block) -> None:
        words, target = self._words(line)
        done = subprocess.run(
            words, env=self.environment, cwd=self.directory, capture_output=True, text=True, check=False, timeout=120
        )
        status = _EXIT.search(block.note)
        code = 0 if status is None else int(status[1])
        assert done.returncode == code, f"{block.name}: {line}\n{done.stdout}{done.stderr}"
        if target is not None:
            target.write_text(done.stdout, "utf-8")
        if wanted:
            said = done.stdout + (done.stderr if code else "")
            pattern = wanted.replace("…", "...") + "\n"
            same = OutputChecker().check_output(pattern, said.replace("…", "..."), _STRICTNESS)
            assert same, f"{block.name}: {line} printed\n{said}"

    def stop(self) -> None:
        """End the sandboxes that the page started."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            assert server.wait(30) == 0
            assert server.stdout is not None
            server.stdout.close()


def variables(known: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a program that uses a sandbox, from what the sandbox announces."""
    return {
        "TALLYFY_BASE_URL": known["url"],
        "TALLYFY_ACCESS_TOKEN": known["personal_token"],
        "TALLYFY_ORGANIZATION": known["organization"],
    }


@contextlib.contextmanager
def reading(monkeypatch: pytest.MonkeyPatch, directory: Path, sandbox: Sandbox) -> Iterator[Reader]:
    """Return a reader whose TALLYFY_ variables lead to a sandbox that is served; all is as before afterwards."""
    for name in [name for name in os.environ if name.startswith("TALLYFY_")]:
        monkeypatch.delenv(name)
    known = sandbox.credentials
    given = {"url": sandbox.url, "personal_token": known.personal_token, "organization": known.organization}
    own = {**variables(given), "HOME": str(directory), "TALLYFY_DIRECTORY": str(directory / "login")}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.chdir(directory)
    reader = Reader(directory, dict(os.environ))
    try:
        yield reader
    finally:
        reader.stop()
