"""The soak: its judge, its ledger and its gauges on made-up findings, and a short one on both event loops."""

from __future__ import annotations

import logging
from random import Random
from typing import Any

import anyio
import pytest
from attrs import evolve

from benchmarks.__main__ import main
from benchmarks.soak import command
from benchmarks.soak.cancels import WAYS, by_task_cancel
from benchmarks.soak.gauges import Gauges, blocks, growth
from benchmarks.soak.judge import BLOCKS, Findings, Tokens, problems
from benchmarks.soak.ledger import COMPLETED, LANDED, REFUSED, UPDATED, Audit, Found, Ledger, title
from tallyfy_async import StaticToken, TallyfyClient, errors
from tallyfy_async.errors import Outcome

NOTHING = Gauges(tasks=0, descriptors=0)
TOKENS = Tokens(requests=5, lives=5, twice=0, most=8)
CLEAN = Findings(calls=1_000, tokens=TOKENS, leaks=NOTHING)


def test_a_clean_soak_passes() -> None:
    assert problems(CLEAN) == []
    assert command.told("trio", CLEAN).splitlines()[-1].strip() == "passed"


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    """Have the level of the package's log restored, which the command raises."""
    caplog.set_level(logging.WARNING, "tallyfy_async")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"audit": Audit(lost=1)}, "lost: 1 writes that succeeded are not on the server"),
        ({"short": 2}, "lost: 2 walks ended without all items"),
        ({"mangled": 1}, "lost: 1 downloads differ from what was uploaded"),
        ({"audit": Audit(doubled=3)}, "doubled: 3 writes landed more than once"),
        (
            {"audit": Audit(ghosts=1)},
            "doubled: 1 writes are on the server of which the client said that nothing happened",
        ),
        ({"leaks": evolve(NOTHING, tasks=1)}, "leaked: 1 tasks"),
        ({"leaks": evolve(NOTHING, descriptors=2)}, "leaked: 2 descriptors"),
        ({"leaks": evolve(NOTHING, busy=3)}, "leaked: 3 busy connections"),
        ({"leaks": evolve(NOTHING, taken=4)}, "leaked: 4 slots"),
        ({"growth": 7.0 * 2**20}, "leaked: 7.0 MiB of memory in the second half"),
        ({"blocks": BLOCKS + 1.0}, f"leaked: {BLOCKS + 1} blocks of Python's memory in the second half"),
        ({"tokens": evolve(TOKENS, requests=6)}, "tokens: 6 requests for 5 lives"),
        ({"tokens": evolve(TOKENS, twice=1)}, "tokens: 1 refresh tokens were sent twice"),
        ({"tokens": evolve(TOKENS, requests=9, lives=9)}, "tokens: 9 requests where 8 would do"),
        ({"calls": 0}, "nothing was called"),
        ({"hung": 1}, "hung: 1 calls"),
        ({"crashed": {"KeyError: 'x'": 1}}, "crashed: 1 calls with KeyError: 'x'"),
        ({"failed": {"ServerError": 11}}, "failed: 11 of 1000 calls (11 ServerError)"),
    ],
)
def test_whatever_is_wrong_fails_the_soak(changes: dict[str, Any], wrong: str) -> None:
    found = evolve(CLEAN, **changes)
    assert problems(found) == [wrong]
    assert command.told("trio", found).splitlines()[-2:] == [f"  WRONG {wrong}", "  FAILED"]


def test_a_few_failed_calls_and_open_writes_pass() -> None:
    assert problems(evolve(CLEAN, failed={"ServerError": 10}, unknown=50, audit=Audit(open=50))) == []


def ledger(*states: int) -> Ledger:
    made = Ledger()
    for state in states:
        made.note(made.begin(), state)
    return made


def found(*rows: tuple[str, str]) -> list[Found | None]:
    return [Found.of(*row) for row in rows]


def test_the_audit_finds_what_was_lost_doubled_or_never_said() -> None:
    wrote = ledger(LANDED, LANDED, 0, 0, REFUSED, REFUSED, LANDED | UPDATED, LANDED | UPDATED | COMPLETED)
    audit = wrote.audit(
        found(
            (title(0), "active"),
            (title(3), "active"),
            (title(3), "active"),
            (title(5), "active"),
            (title(6), "active"),
            (title(7, changed=True), "completed"),
            ("Somebody else's", "active"),
            (title(99), "active"),
        )
    )
    assert audit == Audit(lost=2, doubled=1, ghosts=2, open=2)


def test_a_write_that_may_have_landed_is_there_once_or_not_at_all() -> None:
    wrote = ledger(0, 0)
    assert wrote.audit(found((title(1), ""))) == Audit(open=2)
    assert wrote.audit([]) == Audit(open=2)


def test_a_change_that_was_told_and_is_not_there_is_lost() -> None:
    wrote = ledger(LANDED | UPDATED | COMPLETED)
    assert wrote.audit(found((title(0, changed=True), "active"))).lost == 1
    assert wrote.audit(found((title(0), "completed"))).lost == 1
    assert wrote.audit(found((title(0, changed=True), "completed"))).lost == 0


def test_a_file_carries_its_mark_too() -> None:
    assert Found.of(f"{title(12)}.txt") == Found(12)
    assert Found.of("notes.txt") is None


@pytest.mark.parametrize(
    ("outcome", "audit"),
    [
        (Outcome.DONE, Audit(lost=1)),
        (Outcome.UNKNOWN, Audit(open=1)),
        (Outcome.REFUSED, Audit()),
        (Outcome.NOT_SENT, Audit()),
    ],
)
def test_an_error_says_what_became_of_a_write(outcome: Outcome, audit: Audit) -> None:
    wrote = Ledger()
    error = errors.TallyfyError("x")
    error.outcome = outcome
    wrote.told(wrote.begin(), error)
    assert wrote.audit([]) == audit


def test_growth_is_the_slope_of_the_second_half() -> None:
    flat = [(float(at), 100.0 + at % 2) for at in range(40)]
    assert abs(growth(flat)) < 1
    rising_first = [(float(at), min(at, 20) * 1e6) for at in range(40)]
    assert growth(rising_first) == 0
    rising = [(float(at), at * 1e6) for at in range(40)]
    assert growth(rising) == pytest.approx(19e6)
    assert growth(rising[:10]) == 0, "too few to tell"
    assert growth([(at / 2.1, size) for at, size in rising]) == 0, "less than 10 seconds, in which caches fill"


def test_memory_that_cannot_be_had_is_unknown_and_no_leak() -> None:
    assert problems(evolve(CLEAN, growth=None)) == []
    assert "memory: +12 blocks of Python's, unknown resident" in command.told("trio", evolve(CLEAN, blocks=12.0))
    assert "memory: +0 blocks of Python's, +2.0 MiB resident" in command.told("trio", evolve(CLEAN, growth=2.0 * 2**20))


def test_blocks_count_what_is_kept_and_not_what_only_cycles_keep() -> None:
    before = blocks()
    kept = [object() for _ in range(10_000)]
    assert 9_900 < blocks() - before < 11_000
    kept.clear()
    for _ in range(10_000):
        cycle: list[Any] = []
        cycle.append(cycle)
    assert blocks() - before < 1_000


def test_gauges_tell_only_what_is_more() -> None:
    more, less = Gauges(tasks=5, descriptors=9, busy=1, taken=2), Gauges(tasks=3, descriptors=10)
    assert more.above(less) == Gauges(tasks=2, descriptors=0, busy=1, taken=2)
    assert not more.above(less).nothing
    assert less.above(more).nothing is False
    assert less.above(less).nothing


@pytest.mark.anyio
async def test_gauges_see_a_slot_that_is_held_and_a_task_that_runs() -> None:
    async with TallyfyClient(StaticToken("t")) as client, anyio.create_task_group() as group:
        before = Gauges.read(client)
        await client._limiter.acquire()
        group.start_soon(anyio.sleep_forever)
        await anyio.lowlevel.checkpoint()
        above = Gauges.read(client).above(before)
        assert (above.tasks, above.taken, above.busy) == (1, 1, 0)
        client._limiter.release()
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_every_way_cuts_a_call_that_is_slow_and_spares_one_that_is_not(anyio_backend_name: str) -> None:
    for way in WAYS[anyio_backend_name]:
        ended: list[str] = []

        async def quick(ended: list[str] = ended) -> None:
            await anyio.lowlevel.checkpoint()
            ended.append("quick")

        async def slow(ended: list[str] = ended) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("cut")

        with anyio.fail_after(10):
            await way(quick, 5)
            await way(slow, 0.01)
        assert ended == ["quick", "cut"], way.__name__


@pytest.mark.parametrize("words", [["--minutes", "0"], ["--minutes", "long"], ["--backend", "curio"]])
def test_wrong_arguments_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["soak", *words])
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.once
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_short_soak_through_bad_weather_loses_and_leaks_nothing(backend: str) -> None:
    found = command.soak(backend, 0.1, "many")
    printed = command.told(backend, found)
    assert found.calls, printed
    assert (found.short, found.mangled, found.hung, dict(found.crashed)) == (0, 0, 0, {}), printed
    assert (found.audit.lost, found.audit.doubled, found.audit.ghosts) == (0, 0, 0), printed
    assert (found.leaks.tasks, found.leaks.descriptors, found.leaks.taken) == (0, 0, 0), printed


@pytest.mark.parametrize(("growth", "status"), [(0.0, 0), (99.0 * 2**20, 1)])
def test_a_soak_is_told_and_its_status_returned(
    growth: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def soaked(*settings: Any) -> Findings:
        asked.append(settings)
        return evolve(CLEAN, growth=growth)

    monkeypatch.setattr(command, "soak", soaked)
    assert main(["soak", "--minutes", "0.1", "--weather", "many", "--seed", "3"]) == status
    assert asked == [("asyncio", 0.1, "many", 3), ("trio", 0.1, "many", 3)]
    last = capsys.readouterr().out.splitlines()[-1].strip()
    assert last == ("FAILED" if status else "passed")


def cut_by(backend: str, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> command.Soak:
    """Return a soak whose only way to cut a call raises this."""

    async def way(_work: Any, _seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    monkeypatch.setattr(command, "_CUT", 1.0)
    monkeypatch.setitem(WAYS, backend, (way,))
    return command.Soak(backend, 1)


@pytest.mark.anyio
async def test_what_a_cut_raises_is_a_crash(anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group = BaseExceptionGroup("of a task group", [ExceptionGroup("inner", [KeyError("k")]), ValueError("v")])
    given: Any = None
    for error, crashed in (
        (group, {"KeyError: 'k'": 1, "ValueError: v": 1}),
        (RuntimeError("alone"), {"RuntimeError: alone": 1}),
    ):
        soak = cut_by(anyio_backend_name, monkeypatch, error)
        await soak._call(given, given, given, Random(0))
        assert (soak.books.crashed, soak.books.calls, soak.books.cancelled) == (crashed, 1, 0)


@pytest.mark.anyio
async def test_what_ends_the_soak_is_no_crash_of_a_call(
    anyio_backend_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = BaseExceptionGroup("of a task group", [KeyboardInterrupt(), KeyError("k")])
    soak = cut_by(anyio_backend_name, monkeypatch, both)
    given: Any = None
    with pytest.raises(BaseExceptionGroup) as raised:
        await soak._call(given, given, given, Random(0))
    assert raised.group_contains(KeyboardInterrupt)
    assert not raised.group_contains(KeyError)
    assert soak.books.crashed == {"KeyError: 'k'": 1}


@pytest.mark.anyio
async def test_work_that_raises_is_no_cancellation(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("a way of asyncio's")

    async def wrong() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("k")

    async def late() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("while it was cut")

    with pytest.raises(KeyError):
        await by_task_cancel(wrong, 5)
    with pytest.raises(ValueError, match="while it was cut"):
        await by_task_cancel(late, 0.01)


@pytest.mark.anyio
async def test_only_what_bad_weather_explains_is_excused() -> None:
    soak = command.Soak("asyncio", 1)
    down: dict[str, Any] = {"status": 503, "path": "/x"}
    landed = [errors.IndeterminateError("x"), errors.ServerError("x", method="POST", **down)]
    failed = [errors.TransportError("x"), errors.ServerError("x", method="GET", **down)]
    raised = [
        *landed,
        *failed,
        errors.AuthenticationError("x", status=401),
        errors.PaginationError("short", seen=1, total=2),
        KeyError("k"),
    ]
    for error in raised:

        async def act(*_: Any, error: Exception = error) -> None:
            await anyio.lowlevel.checkpoint()
            raise error

        ended = [False]
        given: Any = None
        await soak._noted(act, given, given, given, ended)
        assert ended == [True]
    assert soak.books.failed == {"TransportError": 1, "ServerError": 1}
    assert soak.books.unknown == 2
    assert soak.books.crashed == {"AuthenticationError: 401: x": 1, "PaginationError: short": 1, "KeyError: 'k'": 1}
