"""``export`` on the command line."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from tallyfy_async import ConfigurationError, RequestTimeoutError
from tallyfy_async.cli import export as command
from tallyfy_async.export import KINDS, Progress
from tallyfy_async.sandbox import Fault, Sandbox
from tests.cli.terminal import Terminal, become, terminal
from tests.export.place import Place, made, world_of
from tests.helpers import connect


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    monkeypatch.setenv("TALLYFY_DIRECTORY", str(tmp_path / "login"))
    with made().serve() as one:
        become(one, monkeypatch)
        monkeypatch.setenv("TALLYFY_ORGANIZATION", one.credentials.organization)
        yield one


@pytest.fixture
def tallyfy(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return terminal(capsys)


def world(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    async def ask() -> dict[str, dict[str, object]]:
        async with connect(sandbox) as client:
            return await world_of(client)

    return anyio.run(ask)


def test_a_whole_organization_as_table_and_as_json(tallyfy: Terminal, sandbox: Sandbox, place: Place) -> None:
    said = tallyfy("export", str(place.path))
    assert said.status == 0
    assert place.world() == world(sandbox)
    assert [line.split()[0] for line in said.out.splitlines() if line.strip()][2:] == list(KINDS)
    assert said.err.startswith("exported: ")
    again = tallyfy("export", str(place.path), "--json")
    assert (again.status, again.err) == (0, "")
    assert again.data["organization"] == sandbox.credentials.organization
    assert again.data["resumed"] is False
    assert {name: one["written"] for name, one in again.data["kinds"].items()} == dict.fromkeys(KINDS, 0)


def test_some_kinds_in_another_format_since_a_moment(tallyfy: Terminal, sandbox: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "plain.db"
    words = ("--format", "ndjson", "--kind", "runs", "--kind", "tags", "--since", "2100-01-01", "--json")
    said = tallyfy("export", str(target), *words)
    assert said.status == 0
    assert set(said.data["kinds"]) == {"runs", "tags"}
    assert said.data["kinds"]["runs"]["rows"] == 0
    assert {one.name for one in target.glob("*.ndjson")} == {"runs.ndjson", "tags.ndjson"}
    assert len((target / "tags.ndjson").read_text().splitlines()) == said.data["kinds"]["tags"]["rows"] > 0


def test_what_was_refused_and_what_was_resumed_is_told(tallyfy: Terminal, sandbox: Sandbox, place: Place) -> None:
    sandbox.faults.add(Fault(operation="list_tags", status=403, body={"message": "Not for you."}, times=None))
    sandbox.faults.add(Fault(operation="list_tasks", after=2, status=404, body={"message": "Gone."}))
    said = tallyfy("export", str(place.path))
    assert (said.status, said.out) == (4, "")
    assert "Gone." in said.err
    said = tallyfy("export", str(place.path))
    assert said.status == 0
    assert "not exported: tags: " in said.err
    assert "an interrupted export was completed" in said.err
    sandbox.faults.clear()
    assert tallyfy("export", str(place.path), "--fresh").status == 0
    assert place.world() == world(sandbox)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "csv"], "--format must be sqlite or ndjson"),
        (["--since", "yesterday"], "--since: 'yesterday' is no date"),
        (["--kind", "processes"], "kinds: 'processes' is not among"),
    ],
)
def test_wrong_words_have_status_2(
    words: list[str], said: str, tallyfy: Terminal, sandbox: Sandbox, tmp_path: Path
) -> None:
    told = tallyfy("export", str(tmp_path / "out"), *words)
    assert (told.status, told.out) == (2, "")
    assert said in told.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nowhere/a.db", "file/a"])
def test_a_target_that_cannot_be_made_has_status_2(
    name: str, tallyfy: Terminal, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    told = tallyfy("export", str(tmp_path / name))
    assert (told.status, told.out) == (2, "")
    assert "cannot be written" in told.err


@pytest.mark.anyio
async def test_a_call_that_timed_out_is_no_fault_of_the_target(tmp_path: Path) -> None:
    sandbox = made(latency=5)
    async with connect(sandbox, timeout=0.05, retry=0) as client:
        with pytest.raises(RequestTimeoutError):
            await command.run_export(client, None, tmp_path / "a.db")


def test_what_a_name_stands_for() -> None:
    assert [command.format_of(name) for name in ("a.db", "a.SQLITE", "b/c.sqlite3", "a", "a.ndjson")] == [
        *["sqlite"] * 3,
        *["ndjson"] * 2,
    ]


def test_moments() -> None:
    assert command.moment_of("2026-11-22") == datetime(2026, 11, 22, tzinfo=UTC)
    assert command.moment_of("2026-11-22T09:00:00Z").tzinfo is not None
    assert command.moment_of("2026-11-22T09:00:00+02:00").utcoffset() == timedelta(hours=2)
    with pytest.raises(ConfigurationError):
        command.moment_of("")


def test_bars_on_a_terminal_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with command.bars() as show:
        assert show is None
    screen = io.StringIO()
    monkeypatch.setattr(
        command, "Console", lambda **_: Console(file=screen, force_terminal=True, width=100, color_system=None)
    )
    with command.bars() as show:
        assert show is not None
        show(Progress(kind="tasks", rows=10, total=40))
        show(Progress(kind="tasks", rows=40, total=40, done=True))
        show(Progress(kind="tags", rows=0, total=0, done=True))
    last = screen.getvalue()
    assert "tasks" in last
    assert "40" in last
    assert "tags" in last


def test_a_list_that_lost_rows_each_time_is_told(
    tallyfy: Terminal, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tallyfy_async.export import ExportReport, KindReport

    async def unsettled(*_: object, **__: object) -> ExportReport:
        kinds = {"runs": KindReport(rows=3, written=3, removed=0, unsettled=True)}
        now = datetime.now(UTC)
        return ExportReport(organization="o", kinds=kinds, refused={}, started=now, seconds=1, resumed=False)

    monkeypatch.setattr(command, "run_export", unsettled)
    assert "runs lost rows each time" in tallyfy("export", str(tmp_path / "a")).err
    assert json.loads(tallyfy("export", str(tmp_path / "a"), "--json").out)["kinds"]["runs"]["unsettled"] is True


def test_without_the_extra_the_library_still_exports() -> None:
    import subprocess

    code = (
        "import sys; sys.modules.update(rich=None, typer=None, starlette=None)\n"
        "from tallyfy_async import export\n"
        "assert 'tasks' in export.KINDS and export.to_sqlite"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
