"""Where the time of a call goes, without a clock: every layer makes the same request; made-up figures are peeled."""

from __future__ import annotations

import importlib.util
import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from attrs import define, field

from benchmarks import anatomy, report
from benchmarks.__main__ import main
from benchmarks.anatomy import CALLERS, HEADING, draw, figures_of, measure, peeled, table
from benchmarks.harness import Line, RowError
from benchmarks.layers import LAYERS, Layer, MakeCall
from benchmarks.payload import TASK
from benchmarks.report import BEGIN, END, placed
from benchmarks.server import reply

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
UPTO = {1: (40.0, 240.0, 280.0, 310.0, 500.0, 490.4, 600.0), 20: (30.0, 200.0, 230.0, 250.0, 350.0, 400.0, 440.0)}
charted = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is in the group bench")
by_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)


@define
class Recorder:
    """A server that keeps what it was sent and always answers the same."""

    answer: bytes = reply(TASK)
    keeps: bool = True
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(factory=list)

    async def serve(self, stream: SocketStream) -> None:
        self.connections += 1
        got = b""
        async with stream:
            try:
                while self.keeps or not self.requests:
                    got += await stream.receive()
                    if got.endswith(b"\r\n\r\n"):
                        self.requests.append(got)
                        got = b""
                        await stream.send(self.answer)
            except anyio.EndOfStream:
                return


@asynccontextmanager
async def recording(recorder: Recorder) -> AsyncGenerator[Recorder, None]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        recorder.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.start_soon(listener.serve, recorder.serve)
        yield recorder
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_every_layer_sends_the_same_bytes_once_a_call() -> None:
    async with recording(Recorder()) as server:
        for number, layer in enumerate(LAYERS, 1):
            async with layer.opened(server.url) as call:
                await call()
            assert len(server.requests) == number
        assert len(set(server.requests)) == 1
        lines = server.requests[0].decode().split("\r\n")
    assert lines[0].startswith("GET /organizations/")
    assert {line.partition(":")[0] for line in lines[1:-2]} == {
        "Host",
        "Accept",
        "Accept-Encoding",
        "X-Tallyfy-Client",
        "User-Agent",
        "Authorization",
    }


@pytest.mark.anyio
@by_layer
async def test_connections_are_kept(layer: Layer) -> None:
    async with recording(Recorder()) as server, layer.opened(server.url) as call:

        async def one() -> None:
            await call()

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
        for _ in range(3):
            await call()
        assert (len(server.requests), server.connections) == (5, 2)


@pytest.mark.anyio
@by_layer
async def test_what_came_is_compared(layer: Layer) -> None:
    other = reply(TASK.replace(b'"id": "', b'"id": "f', 1) + b" ")
    # The socket alone knows no end of a reply but the task's own.
    error, words = (anyio.EndOfStream, None) if layer.name == "socket" else (RowError, "came instead of")
    async with recording(Recorder(other, keeps=False)) as server, layer.opened(server.url) as call:
        with pytest.raises(error, match=words):
            await call()


@pytest.mark.anyio
async def test_layers_take_turns_forwards_and_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[int, int, int]] = []

    async def call() -> None:
        raise AssertionError

    calls: list[MakeCall] = [partial(call), partial(call)]

    async def batch(given: MakeCall, callers: int, count: int) -> float:
        order.append((calls.index(given), callers, count))
        return 1e-6 * (10 - len(order))

    monkeypatch.setattr(anatomy, "_batch", batch)
    assert await anatomy._in_turns(calls, 20, 3) == pytest.approx([2, 3])
    assert [at for at, _, _ in order] == [0, 1, 1, 0, 0, 1, 1, 0]
    assert [callers for _, callers, _ in order] == [20] * 8
    assert {count for _, _, count in order[:2]} == {25}, "the first calls open connections and do not count"


def test_figures_come_from_processes_of_their_own() -> None:
    lines = measure(2, batches=1)
    assert [line.case for line in lines] == [
        f"up to {layer.name}, {callers} at once" for callers in CALLERS for layer in LAYERS
    ]
    assert all(len(line.ours) == 2 and min(line.ours) > 0 for line in lines)


def lines_of() -> list[Line]:
    return [
        Line(row="anatomy", case=f"{layer.name} {callers}", unit="us CPU", ours=(figure + 9, figure))
        for callers, figures in UPTO.items()
        for layer, figure in zip(LAYERS, figures, strict=True)
    ]


def test_the_best_process_counts() -> None:
    assert {callers: tuple(upto) for callers, upto in figures_of(lines_of()).items()} == UPTO


def test_a_layer_takes_what_it_adds() -> None:
    assert peeled(UPTO[1]) == pytest.approx([40, 200, 40, 30, 190, -9.6, 109.6])
    assert sum(peeled(UPTO[1])) == pytest.approx(UPTO[1][-1])


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_the_table_keeps_what_is_less_than_nothing() -> None:
    head, rule, *rows = cells(table(UPTO))
    assert head[2:] == ["1 at once", "share", "20 at once", "share"]
    assert rule == ["---", "---", "---:", "---:", "---:", "---:"]
    assert [row[0] for row in rows] == [*(layer.name for layer in LAYERS), "whole call"]
    assert rows[0][2:] == ["40 us", "7 %", "30 us", "7 %"]
    assert rows[5][2:] == ["-10 us", "-2 %", "50 us", "11 %"]
    assert rows[-1][1:] == ["", "600 us", "100 %", "440 us", "100 %"]
    assert "-0 " not in table({1: (40.0, 39.9, 100.0, 200.0, 300.0, 400.0, 500.0)})


@charted
def test_the_picture_has_a_bar_for_each_number_of_callers_and_always_the_same_bytes() -> None:
    picture = draw(UPTO)
    assert picture == draw(UPTO)
    said = [text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {"1 at once", "20 at once", "600 us", "440 us", "200", "190", *(layer.name for layer in LAYERS)} <= {*said}
    assert "-10" not in said, "what is less than nothing has no length and no figure"
    assert sum(picture.count(f"fill: {layer.colour}") for layer in LAYERS) == 3 * len(LAYERS), "two bars and the legend"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []

    def made_up(rounds: int) -> list[Line]:
        asked.append(rounds)
        return lines_of()

    monkeypatch.setattr(anatomy, "measure", made_up)
    return asked


@charted
def test_what_is_measured_is_printed_and_written(
    measured: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / name for name in ("call.svg", "page.md", "figures.json")}
    files["page.md"].write_text(f"{BEGIN}\nothers\n{END}\n{HEADING}\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    words = ["--svg", files["call.svg"], "--markdown", files["page.md"], "--json", files["figures.json"]]
    assert main(["anatomy", "--rounds", "2", *map(str, words)]) == 0
    assert measured == [2]
    assert capsys.readouterr().out == table(UPTO) + "\n"
    assert files["call.svg"].read_text("utf-8") == draw(UPTO)
    page = files["page.md"].read_text("utf-8")
    assert page.startswith(f"{BEGIN}\nothers\n{END}\n{HEADING}\n{BEGIN}\n{table(UPTO)}\n\nMeasured on ")
    assert page.endswith(f".\n{END}\nafter\n")
    found: dict[str, Any] = json.loads(files["figures.json"].read_text("utf-8"))
    assert [line["ours"] for line in found["lines"]] == [[*line.ours] for line in lines_of()]


def test_a_page_without_the_markers_is_refused(
    measured: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n", "utf-8")
    assert main(["anatomy", "--markdown", str(page)]) == 2
    assert "the page lacks the lines" in capsys.readouterr().err
    assert page.read_text("utf-8") == f"{BEGIN}\n{END}\n"
    assert measured == [3]


def test_without_matplotlib_there_is_a_table_and_no_picture(
    measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["anatomy", "--svg", str(tmp_path / "call.svg")]) == 2
    printed = capsys.readouterr()
    assert "needs matplotlib" in printed.err
    assert "whole call" in printed.out
    assert not [*tmp_path.iterdir()]
    assert measured


def test_a_measurement_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_rounds: int) -> Sequence[Line]:
        msg = "no server"
        raise RowError(msg)

    monkeypatch.setattr(anatomy, "measure", fails)
    assert main(["anatomy"]) == 1
    assert capsys.readouterr().err == "anatomy: not measured: no server\n"


@pytest.mark.parametrize("rounds", ["0", "many"])
def test_wrong_rounds_are_refused(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["anatomy", "--rounds", rounds])
    assert "a whole number of at least 1" in capsys.readouterr().err


def test_the_documentation_has_a_place_for_either_table() -> None:
    page = PAGE.read_text("utf-8")
    ours = anatomy._page(page, "of layers")
    both = placed(ours, "of rows")
    assert both == anatomy._page(placed(page, "of rows"), "of layers")
    before, _, after = both.partition(HEADING)
    assert f"{BEGIN}\nof rows\n{END}" in before
    assert f"{BEGIN}\nof layers\n{END}" in after
    assert (PAGE.parent / "call.svg").exists()
    assert report.END in after
