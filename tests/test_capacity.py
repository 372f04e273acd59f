"""The simulation of fleets: it meets what is known without it, repeats itself, and docs/scale.md says what it says."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from benchmarks.__main__ import main
from benchmarks.capacity import ceilings, chart, closed, command, experiments, pages, published, real
from benchmarks.capacity.experiments import Gap, crowd_row, failover_row, gap_row
from benchmarks.capacity.fleet import Done, Figures, Mode, Record, Scenario, figures_of, most_in_a_window, quantile, run
from benchmarks.capacity.measured import Measured
from benchmarks.capacity.tallyfy import Limit, Line
from benchmarks.harness import RowError
from tallyfy_async.export.kinds import KINDS
from tallyfy_async.fleet.scripts import ATTEND, DECIDE, LEAVE, PAUSE
from tallyfy_async.protocol.limits import GUEST_INVITE, HourlyCap, hourly_cap
from tallyfy_async.sandbox.settings import Settings
from tests.redis_server import served_redis

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
ALL = "TALLYFY_CAPACITY"
"""Set to ``all`` it compares every row of the page, which takes minutes."""
needs_lua = pytest.mark.skipif(
    importlib.util.find_spec("lupa") is None, reason="lupa, which runs the scripts, is in the groups tests and bench"
)
needs_plots = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is in the group bench"
)
pytestmark = pytest.mark.once


def block(name: str) -> str:
    """Return what stands between the markers of the page."""
    return PAGE.read_text("utf-8").partition(f"<!-- {name}: begin -->\n")[2].partition(f"\n<!-- {name}: end -->")[0]


@pytest.mark.parametrize(("processes", "mode"), [(1, Mode.ALONE), (3, Mode.DIVIDED)], ids=str)
def test_the_page_says_what_the_simulation_says(processes: int, mode: Mode) -> None:
    scenario = experiments.crowds()[processes, mode]
    assert crowd_row(scenario, figures_of(run(scenario))) in block("fleets").splitlines()


@needs_lua
def test_the_page_says_what_the_shared_pace_does() -> None:
    scenario = experiments.crowds()[1, Mode.BUCKETS]
    assert crowd_row(scenario, figures_of(run(scenario))) in block("fleets").splitlines()


def test_the_page_has_the_figures_that_need_no_simulation() -> None:
    known = {"numbers": pages.numbers(), "limits": pages.limits(), "plan": pages.plan(), "room": pages.room()}
    assert {name: block(name) for name in known} == known


def test_the_page_has_every_row_and_every_plot() -> None:
    crowds = {"fleets": experiments.crowds(), "ahead": experiments.ahead(), "bursts": experiments.bursting()}
    for name, scenarios in crowds.items():
        rows = [row.split(" | ")[:2] for row in block(name).splitlines()[2:]]
        assert rows == [[f"| {processes:,}", mode.value] for processes, mode in scenarios], name
    firsts: dict[str, Any] = {"failover": experiments.failing(), "hourly": experiments.hourly()}
    for name, scenarios in (firsts | {"deaths": experiments.dying()}).items():
        rows = [row.split(" | ")[0] for row in block(name).splitlines()[2:]]
        assert rows == [f"| {one if isinstance(one, str) else f'{one:,}'}" for one in scenarios], name
    assert len(block("formulas").splitlines()) == 2 + 7
    assert len(block("reality").splitlines()) == 2 + len(real.scenarios(120)) + 2
    assert "Measured on" in block("measured")
    for name in re.findall(r"\]\((scale[\w-]*\.svg)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / name).exists(), name


@pytest.mark.skipif(os.environ.get(ALL) != "all", reason=f"takes minutes; {ALL}=all runs it")
def test_the_page_says_all_that_the_simulation_says() -> None:
    tables, _ = command._simulated()
    assert {name: block(name) for name in tables} == tables


@pytest.mark.parametrize("check", [closed.connections, closed.window, closed.little, closed.rounds])
def test_closed_forms_of_fleets_hold(check: Any) -> None:
    found = check()
    assert found.deviation <= found.tolerance, found


@needs_lua
def test_closed_forms_of_the_shared_pace_hold() -> None:
    found = closed.bucket()
    assert found.deviation <= found.tolerance, found


@pytest.mark.parametrize(("queue", "tolerance"), [(closed.single_slot, 0.15), (closed.redis_queue, 0.2)])
def test_closed_forms_of_queues_hold(queue: Any, tolerance: float) -> None:
    if queue is closed.redis_queue:
        pytest.importorskip("lupa")
    assert queue(3_000).deviation <= tolerance, queue(3_000)


@needs_lua
def test_the_same_seed_gives_the_same_record_with_redis_too() -> None:
    fleet = Scenario(processes=3, mode=Mode.BUCKETS, at_once=2, callers=2, outages=((3.0, 5.0),), dies=8.0)
    first, again = (run(evolve(fleet, warm=0.0, seconds=12.0)) for _ in range(2))
    assert (first.calls, first.questions) == (again.calls, again.questions)


def test_the_same_seed_gives_the_same_record_and_another_one_does_not() -> None:
    scenario = Scenario(processes=3, mode=Mode.ALONE, warm=5.0, seconds=10.0)
    first, again, other = run(scenario), run(scenario), run(evolve(scenario, seed=1))
    assert first.calls == again.calls
    assert first.admitted == again.admitted
    assert first.admitted != other.admitted


@needs_lua
def test_no_minute_has_more_calls_than_the_limit_while_redis_is_away_and_comes_back_empty() -> None:
    limits, away = (Limit(60, 10.0),), (12.0, 18.0)
    scenario = Scenario(processes=3, mode=Mode.BUCKETS, limits=limits, warm=0.0, seconds=40.0, outages=(away,))
    record = run(evolve(scenario, callers=3))
    assert most_in_a_window(record.admitted, 60.0) <= 240
    assert not record.refused
    during = sum(away[0] + 3 <= at < away[1] for at in record.admitted)
    after = sum(22.0 <= at < 32.0 for at in record.admitted)
    assert during >= 5, "each goes on with its share"
    assert after >= 50, "and all of them together when it is back"


@needs_lua
def test_the_slots_of_the_dead_come_back_when_their_lease_ends() -> None:
    slow = Line(network=0.2, work=0.8, spread=0.0)
    fleet = Scenario(processes=4, mode=Mode.BUCKETS, callers=2, at_once=4, limits=(), line=slow, warm=0.0, dies=10.0)
    record = run(evolve(fleet, seconds=40.0))
    assert not any(call.at > 10.0 for calls in record.calls[1::2] for call in calls), "every second one is dead"
    before, during, after = (sum(begin <= at < begin + 5 for at in record.admitted) / 5 for begin in (5.0, 12.0, 25.0))
    assert before == pytest.approx(4, abs=0.5)
    assert during == pytest.approx(2, abs=1.1)
    assert after == pytest.approx(4, abs=0.5)


def test_an_hourly_cap_is_met_once_an_hour_by_each_process() -> None:
    scenario = experiments.hourly()[10]
    row = experiments.invitations(scenario)
    assert row in block("hourly").splitlines()
    name, sent, most, refused, kept = row.strip("| ").split(" | ")
    assert (name, sent, most) == ("10", "30.0", "30")
    assert 10 <= float(refused) <= 15
    assert int(kept) > 500, "what is known to be refused is not sent"


def test_whoever_exceeds_a_cap_is_told_in_the_words_of_the_server() -> None:
    told = hourly_cap(None, json.loads(Limit(30, 3600.0, GUEST_INVITE).refusal)["message"])
    assert told == HourlyCap(GUEST_INVITE, 30)


def test_what_counts_is_what_ended_after_the_beginning() -> None:
    scenario = Scenario(processes=2, warm=10.0, seconds=10.0)
    calls = [
        [Done(9.0, 50.0, True), Done(11.0, 1.0, True), Done(12.0, 3.0, True), Done(13.0, 9.0, False)],
        [Done(15.0, 2.0, True), Done(16.0, 4.0, True)],
    ]
    figures = figures_of(Record(scenario, calls, [1.0, 11.0, 12.0, 13.0], [2.0, 19.0], [9.9, 10.0, 19.0, 20.0]))
    assert figures == Figures(rate=0.4, refused=0.25, failed=0.2, median=2.0, slowest=4.0, fairness=1.0, questions=0.2)
    assert figures_of(Record(scenario, [[], []], [], [])).median is None


def test_windows_and_quantiles() -> None:
    assert most_in_a_window([0.0, 30.0, 59.9, 60.0, 61.0]) == 4
    assert most_in_a_window([]) == 0
    assert [quantile([1.0, 2.0, 3.0, 4.0], part) for part in (0.25, 0.5, 0.99)] == [1.0, 2.0, 4.0]
    assert quantile([], 0.5) is None


def failing(admitted: list[float], refused: list[float]) -> Gap:
    return experiments.gap_of(Record(experiments.failing()[10], [[]], admitted, refused))


def test_recovery_is_counted_from_the_return() -> None:
    even = [number / 10 for number in range(1800)]
    assert failing(even, []).recovery == 0.0
    slow = [at for at in even if not 90 <= at < 125]
    found = failing(slow, [50.0, 130.0])
    assert found.recovery is not None
    assert 4.0 <= found.recovery <= 5.0
    assert (found.before, found.during, found.rates[0]) == (10.0, 0.0, 10.0)
    assert found.refused == pytest.approx(1 / (1 + 550))
    assert "| 4." in failover_row(found)
    gone = failing([at for at in even if at < 90], [])
    assert gone.recovery is None
    assert failover_row(gone).endswith("not within a minute |")


@needs_lua
def test_the_memory_in_this_process_answers_as_a_server_does() -> None:
    from benchmarks.capacity.memory import Memory

    chance, now = Random(7), [1_780_000_000.0]
    memory = Memory(lambda: now[0])
    with served_redis() as server, server.admin() as admin:
        told = {
            text: admin.register_script(text.replace("redis.call('time')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}"))
            for text in (DECIDE, PAUSE, ATTEND, LEAVE)
        }
        for number in range(400):
            now[0] += round(chance.random() * chance.choice([0.001, 0.1, 3.0]), 6)
            script, keys, values = question(chance)
            seconds, part = divmod(now[0], 1)
            theirs = told[script](keys=keys, args=[*values, int(seconds), int(part * 1e6)])
            assert memory.run(script, keys, values) == theirs, (number, values)


def question(chance: Random) -> tuple[str, list[str], list[Any]]:
    """Return a script with what it is asked."""
    who, places = f"process {chance.randrange(6)}", ["members", "slots"]
    match chance.randrange(10):
        case 0:
            return PAUSE, ["user"], [chance.choice([500.0, 2000.5, 20_000.0])]
        case 1:
            return LEAVE, places, [who]
        case 2 | 3:
            return ATTEND, places, [who, 4000, chance.choice([0, 5]), chance.randrange(3), chance.randrange(6), 1]
        case _:
            buckets = ["user", "organization"][: chance.randrange(1, 3)]
            limits = [value for _ in buckets for value in (repr(103.38983050847457), 10, chance.randrange(2))]
            return DECIDE, ["members", *buckets], [chance.randrange(1, 9), 250.0, chance.randrange(2), *limits]


def test_what_saturates_first_moves_with_the_number_of_processes() -> None:
    one_user = [ceilings.first(ceilings.ceilings(number, 1)).name for number in (1, 1000)]
    assert one_user == ["users' limits", "users' limits"]
    many = [ceilings.first(ceilings.ceilings(number, 10_000)).name for number in (1, 1000)]
    assert many == ["processors", "Redis"]
    assert math.isclose(ceilings.ceilings(7, 1)[0].rate, 7 / published.PAGE_CPU)


def test_an_export_takes_the_pages_of_every_list() -> None:
    small, large = ceilings.SIZES[0], ceilings.SIZES[-1]
    assert ceilings.Size(name="empty", share=1, tasks=0).calls == len(KINDS)
    assert small.calls == len(KINDS) + 4, "five pages of tasks"
    assert large.calls == 500 + 50 + 5 + 20 + 10 + len(KINDS) - 5
    assert large.tokens == 1
    assert evolve(large, tasks=5_000_000).tokens == math.ceil(evolve(large, tasks=5_000_000).calls / 600 / 60)
    plan = ceilings.Plan(organizations=100)
    assert plan.calls == sum(plan.count(size) * size.calls for size in plan.sizes)
    assert plan.older_hours() == large.calls / 1_000
    assert plan.hours(10)["processors"] == pytest.approx(plan.calls * published.PAGE_CPU / 10 / 3600)
    assert plan.by_one() == pytest.approx(plan.calls / 600 / 60)
    narrow, wide = ceilings.TOKENS
    assert (plan.hours(10)[narrow], plan.hours(10)[wide]) == (100 / 60 / 60, 100 / 600 / 60)
    whole = ceilings.Plan()
    assert [whole.slowest(10, tokens) for tokens in (narrow, wide)] == [narrow, "processors"]


def test_the_figures_that_the_project_has_elsewhere_are_those() -> None:
    assert Settings().access_life == published.ACCESS_LIFE
    own = published.defaults()
    assert own == published.Defaults(connections=20, deadline=120.0, ahead=8, lease=10.0, patience=0.5)
    assert 1e-5 < published.call_cpu() < 1e-2


def test_a_page_without_the_figure_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing", "utf-8")
    with pytest.raises(RowError, match=r"page\.md has no row of the whole call"):
        published.call_cpu(tmp_path / "page.md")


FIGURES = Figures(rate=9.5, refused=0.01, failed=0.0, median=0.2, slowest=60.0, fairness=0.99, questions=12.0)
FAILED = Gap(processes=10, before=9.67, during=9.4, after=9.6, refused=0.0, most=583, recovery=1.5, rates=36 * (9.5,))


@needs_plots
def test_plots_have_a_line_for_each_and_always_the_same_bytes() -> None:
    found = dict.fromkeys(experiments.crowds(), FIGURES) | {(1, Mode.ALONE): evolve(FIGURES, slowest=None)}
    pictures = [chart.fleets(found), chart.failovers([FAILED]), chart.limits()]
    assert pictures[1] == chart.failovers([FAILED])
    texts = [{one.text for one in ET.fromstring(each).iter("{http://www.w3.org/2000/svg}text")} for each in pictures]
    assert {mode.value for mode in Mode} | {"processes", "1,000"} <= texts[0]
    assert {"10 processes", "Redis is away"} <= texts[1]
    assert {"Redis", "processors", "connections", "users' limits", "organizations' hour"} <= texts[2]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command simulate next to nothing."""
    made_up: dict[Any, Any] = {command.simulated: FIGURES, command.gap: FAILED, command.invitations: "| 1 | 30 |"}
    monkeypatch.setattr(command, "everywhere", lambda work, scenarios: dict.fromkeys(scenarios, made_up[work]))
    monkeypatch.setattr(command, "checks", list)
    for name in ("fleets", "failovers", "limits"):
        monkeypatch.setattr(chart, name, lambda *found: f"<svg>{len(found)}</svg>")


@pytest.mark.usefixtures("small")
def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- {name}: begin -->\nbefore\n<!-- {name}: end -->\n" for name in command.SIMULATED), "utf-8"
    )
    assert main(["capacity", "--svg", str(tmp_path), "--markdown", str(page)]) == 0
    printed, written = capsys.readouterr().out, page.read_text("utf-8")
    assert "before\n" not in written
    assert all(f"{name}\n\n" in printed for name in command.SIMULATED)
    assert crowd_row(experiments.crowds()[1_000, Mode.BUCKETS], FIGURES) in written
    assert failover_row(FAILED) in printed
    assert gap_row("the pace", FAILED) in printed
    drawn = {one.name: one.read_text("utf-8") for one in tmp_path.glob("*.svg")}
    one, none = "<svg>1</svg>", "<svg>0</svg>"
    assert drawn == {"scale.svg": one, "scale-failover.svg": one, "scale-limits.svg": none}


def test_a_page_without_markers_is_refused_before_anything_is_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_simulated", lambda: pytest.fail("it takes minutes"))
    page = tmp_path / "page.md"
    assert main(["capacity", "--markdown", str(page)]) == 2
    assert "No such file" in capsys.readouterr().err
    page.write_text("no markers\n", "utf-8")
    assert main(["capacity", "--markdown", str(page)]) == 2
    assert "the page lacks the lines <!-- numbers: begin -->" in capsys.readouterr().err
    assert page.read_text("utf-8") == "no markers\n"


def test_what_is_measured_and_compared_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[float] = []

    def compare(seconds: float) -> list[real.Pair]:
        asked.append(seconds)
        scenario = real.scenarios(seconds)[0]
        return [real.Pair(scenario=scenario, simulated=FIGURES, real=evolve(FIGURES, rate=9.31))]

    monkeypatch.setattr(command, "compare", compare)
    monkeypatch.setattr(command, "measure", lambda: [Measured(name="a bucket", figure=211, taken=210, unit="bytes")])
    assert main(["capacity", "--check", "--measure", "--seconds", "5"]) == 0
    printed = capsys.readouterr().out
    assert asked == [5.0]
    assert "| 2 | nothing | 9.50 | 1.0% | 9.31 | 1.0% | -2.0% |" in printed
    assert "| a bucket | 211 | 210 | bytes |" in printed


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["capacity", "--check", f"--seconds={text}"])
    assert "--seconds" in capsys.readouterr().err


def test_what_cannot_be_run_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> list[Measured]:
        msg = "no Redis server"
        raise RowError(msg)

    monkeypatch.setattr(command, "measure", fails)
    assert main(["capacity", "--measure"]) == 1
    assert capsys.readouterr().err == "capacity: no Redis server\n"
