"""The tables of docs/scale.md, each between markers of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.capacity import published as p
from benchmarks.capacity.ceilings import ORGANIZATIONS, SIZES, Ceiling, Plan, ceilings, first, latency, older
from benchmarks.capacity.closed import Check
from benchmarks.capacity.experiments import Failover, crowd_row, failover_row
from benchmarks.capacity.fleet import Figures, Scenario
from benchmarks.capacity.measured import Measured
from benchmarks.capacity.real import Pair

PROCESSES = (1, 10, 100, 1_000)


def placed(page: str, name: str, text: str) -> str:
    """Return a page with a text between the markers of that name; raise ValueError where it lacks them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        msg = f"the page lacks the lines {begin} and {end}"
        raise ValueError(msg)
    return f"{before}{begin}\n{text}\n{end}{after}"


def _table(head: str, rule: str, rows: Iterable[str]) -> str:
    return "\n".join([head, rule, *rows])


def fleets(found: Iterable[tuple[Scenario, Figures]]) -> str:
    """Return the table of fleets."""
    return _table(
        "| processes | share | calls/s | of the limit | 429s | failed | median | 99 % | fairness | Redis/s |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        (crowd_row(scenario, figures) for scenario, figures in found),
    )


def failovers(found: Iterable[Failover]) -> str:
    """Return the table of failovers."""
    return _table(
        "| processes | calls/s before | while away | after | 429s since | most in a minute | recovered after |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        map(failover_row, found),
    )


def numbers() -> str:
    """Return the table of what everything starts from."""
    own, older_limits = p.defaults(), f"{p.ORGANIZATION_PER_MINUTE} a minute, {_n(p.ORGANIZATION_PER_HOUR)} an hour"
    rows = [
        ("a user's limit", f"{p.USER_PER_MINUTE} in any minute", "published"),
        ("an organization's limits, an older document", older_limits, "published"),
        ("life of a token", f"{_n(p.ACCESS_LIFE)} s", "published"),
        ("token requests of an address", f"{p.TOKENS_PER_MINUTE} a minute", "assumed: Laravel's default"),
        ("to the server and back", f"{p.NETWORK * 1e3:.0f} ms", "assumed"),
        ("the server's work, the median", f"{p.WORK * 1e3:.0f} ms", "assumed"),
        ("both together, the mean", f"{latency() * 1e3:.0f} ms", "of these"),
        ("to Redis and back", f"{p.REDIS_TRIP * 1e3:.0f} ms", "assumed"),
        ("a decision in Redis", f"{p.REDIS_DECISION * 1e6:.0f} us", "measured, with a margin"),
        ("a page of 100 tasks, to SQLite", f"{p.PAGE_CPU * 1e3:.0f} ms of a core", "measured"),
        ("a small call, among twenty", f"{p.call_cpu() * 1e6:.0f} us of a core", "[measured](performance.md)"),
        ("connections of a process", f"{own.connections}", "default"),
        ("deadline of a call", f"{own.deadline:.0f} s", "default"),
        ("pages that an export asks for ahead", f"{own.ahead} of each list", "default"),
    ]
    return _table("| number | value | source |", "|---|---|---|", map(_row, rows))


def limits() -> str:
    """Return the table of what saturates first."""
    head = "| runs out | " + " | ".join(f"{number:,}" for number in PROCESSES) + " |"
    found = {number: ceilings(number, ORGANIZATIONS) for number in PROCESSES}
    names = [one.name for one in found[1]]
    rows = [_limit(name, [found[number][at] for number in PROCESSES]) for at, name in enumerate(names)]
    rows += [_limit(one.name, [one] * len(PROCESSES)) for one in older(ORGANIZATIONS)]
    rows.append(_row(["**first of them, today's limits**", *(first(found[number]).name for number in PROCESSES)]))
    small = [first(ceilings(number, ORGANIZATIONS, p.call_cpu())).name for number in PROCESSES]
    rows.append(_row(["**first, for small calls**", *small]))
    return _table(head, "|---|" + "---:|" * len(PROCESSES), rows)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _limit(name: str, found: Iterable[Ceiling]) -> str:
    return _row([name, *(_n(one.rate) for one in found)])


def plan() -> str:
    """Return the tables of how to export very many organizations."""
    whole = Plan()
    sizes = _table(
        "| size | organizations | tasks each | calls each | at 600 a minute | at 1,000 an hour | token requests |",
        "|---|---:|---:|---:|---:|---:|---:|",
        [
            f"| {size.name} | {whole.count(size):,} | {size.tasks:,} | {size.calls:,} "
            f"| {_time(size.hours(60 * p.USER_PER_MINUTE))} | {_time(size.hours(p.ORGANIZATION_PER_HOUR))} "
            f"| {size.tokens} |"
            for size in SIZES
        ]
        + [_row(["**all**", _n(whole.organizations), _n(whole.tasks), _n(whole.calls), "", "", _n(whole.tokens)])],
    )
    found: Mapping[int, Mapping[str, float]] = {number: whole.hours(number) for number in PROCESSES}
    hours = _table(
        "| processes | " + " | ".join(found[1]) + " | the slowest of them |",
        "|---:|" + "---:|" * (len(found[1]) + 1),
        [
            f"| {number:,} | "
            + " | ".join(_time(value) for value in each.values())
            + f" | {max(each, key=lambda name: each[name])} |"
            for number, each in found.items()
        ],
    )
    memory = f"Redis holds {whole.redis_bytes / 1e6:.0f} MB for them: {_n(p.TOKEN_BYTES)} bytes for a token and "
    return f"{sizes}\n\n{hours}\n\n{memory}{p.BUCKET_BYTES} for a bucket, each with its key."


def formulas(found: Iterable[Check]) -> str:
    """Return the table of closed forms."""
    return _table(
        "| what | known as | formula | simulation | apart |",
        "|---|---|---:|---:|---:|",
        (check.row for check in found),
    )


def reality(found: Iterable[Pair]) -> str:
    """Return the table of the real thing."""
    return _table(
        "| clients | share | calls/s, simulated | 429s | calls/s, real | 429s | apart |",
        "|---:|---|---:|---:|---:|---:|---:|",
        (pair.row for pair in found),
    )


def measurements(found: Iterable[Measured]) -> str:
    """Return the table of measurements."""
    return _table(
        "| what | measured now | taken | unit |",
        "|---|---:|---:|---|",
        (f"| {one.name} | {_figure(one.figure)} | {_figure(one.taken)} | {one.unit} |" for one in found),
    )


def _figure(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0") if number < 100 else _n(number)


def _n(number: float) -> str:
    return f"{number:,.0f}"


def _time(hours: float) -> str:
    """Return hours as one reads them."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 3600 >= 60 else f"{hours * 3600:.0f} s"
