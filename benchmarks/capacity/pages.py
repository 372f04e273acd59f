"""The tables of docs/scale.md, each between markers of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from benchmarks.capacity import published as p
from benchmarks.capacity.ceilings import ORGANIZATIONS, SIZES, TOKENS, Ceiling, Plan, ceilings, first, latency, older
from benchmarks.capacity.closed import Check
from benchmarks.capacity.experiments import Gap, crowd_row, failover_row, gap_row
from benchmarks.capacity.fleet import Figures, Scenario
from benchmarks.capacity.measured import Measured
from benchmarks.capacity.real import Pair
from benchmarks.report import document
from tallyfy_async.protocol.limits import COMMENT, HOURLY_CAPS

PROCESSES = (1, 10, 100, 1_000)


def _table(head: str, rule: str, rows: Iterable[str]) -> str:
    return "\n".join([head, rule, *rows])


def fleets(found: Iterable[tuple[Scenario, Figures]]) -> str:
    """Return the table of fleets."""
    return _table(
        "| processes | share | calls/s | of the limit | 429s | failed | median | 99 % | fairness | Redis/s |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        (crowd_row(scenario, figures) for scenario, figures in found),
    )


def hourly(rows: Iterable[str]) -> str:
    """Return the table of invitations."""
    return _table(
        "| processes | invitations an hour | most in any hour | 429s an hour | kept back an hour |",
        "|---:|---:|---:|---:|---:|",
        rows,
    )


def deaths(found: Mapping[str, Gap]) -> str:
    """Return the table of processes that die."""
    return _table(
        "| share | calls/s before | in the ten seconds after | then | 429s since |",
        "|---|---:|---:|---:|---:|",
        (gap_row(name, one) for name, one in found.items()),
    )


def failovers(found: Iterable[Gap]) -> str:
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
        ("the same for bursts", f"{p.BURST} in any {p.BURST_SECONDS:.0f} s", "published without a number; assumed"),
        ("guests invited to an organization", f"{p.INVITES_PER_HOUR} in any hour", "published"),
        ("comments in an organization", f"{HOURLY_CAPS[COMMENT]} in any hour", "published"),
        ("an organization's limits, an older document", older_limits, "published"),
        ("life of a token", f"{_n(p.ACCESS_LIFE)} s", "published"),
        ("requests of an address without a user", f"{p.TOKENS_PER_MINUTE} in any minute", "published"),
        ("token requests of an address", f"{p.TOKENS_IF_NARROW} a minute", "assumed: Laravel's default"),
        ("to the server and back", f"{p.NETWORK * 1e3:.0f} ms", "assumed"),
        ("the server's work, the median", f"{p.WORK * 1e3:.0f} ms", "assumed"),
        ("both together, the mean", f"{latency() * 1e3:.0f} ms", "of these"),
        ("to Redis and back", f"{p.REDIS_TRIP * 1e3:.0f} ms", "assumed"),
        ("a decision in Redis", f"{p.REDIS_DECISION * 1e6:.0f} us", "measured, with a margin"),
        ("a page of 100 tasks, to SQLite", f"{p.PAGE_CPU * 1e3:.0f} ms of a core", "measured"),
        ("a small call, among twenty", f"{p.call_cpu() * 1e6:.0f} us of a core", "[measured](performance.md)"),
        ("a further client, before its first call", f"{_n(p.CLIENT_BYTES)} bytes", "measured"),
        ("a further organization of a client", f"{_n(p.ORGANIZATION_BYTES)} bytes", "measured"),
        ("connections of a process", f"{own.connections}", "default"),
        ("deadline of a call", f"{own.deadline:.0f} s", "default"),
        ("lease of a process", f"{own.lease:.0f} s", "default"),
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
        "| processes | " + " | ".join(found[1]) + " | slowest, tokens at 60 | slowest, at 600 |",
        "|---:|" + "---:|" * (len(found[1]) + 2),
        [
            _row([_n(number), *map(_time, each.values()), *(whole.slowest(number, tokens) for tokens in TOKENS)])
            for number, each in found.items()
        ],
    )
    alone = f"Where one user reads all of them, it takes {_time(whole.by_one())} on any number of processes."
    return f"{sizes}\n\n{hours}\n\n{alone}"


def room() -> str:
    """Return the table of what so many organizations take of memory and sockets."""
    many, own = ORGANIZATIONS, p.defaults()
    rows = [
        ("one client for all, `organizations={…}`", many * p.ORGANIZATION_BYTES, f"{own.to_tallyfy} at most"),
        ("a client for each", many * p.CLIENT_BYTES, f"one each at least, {own.to_tallyfy} at most"),
        ("Redis, a token and a bucket for each", Plan().redis_bytes, f"{own.to_redis} at most from each process"),
    ]
    head = f"| {many:,} organizations | MB | connections |"
    return _table(head, "|---|---:|---|", (_row([what, _n(taken / 1e6), sockets]) for what, taken, sockets in rows))


def _measured_here() -> str:
    """Tell machine, interpreter and day."""
    found = document([], {})
    return f"Measured on {found['machine']}, Python {found['python']}, on {datetime.now(UTC):%Y-%m-%d}."


def formulas(found: Iterable[Check]) -> str:
    """Return the table of closed forms."""
    return _table(
        "| what | known as | formula | simulation | apart |",
        "|---|---|---:|---:|---:|",
        (check.row for check in found),
    )


def reality(found: Iterable[Pair]) -> str:
    """Return the table of the real thing."""
    table = _table(
        "| clients | share | calls/s, simulated | 429s | calls/s, real | 429s | apart |",
        "|---:|---|---:|---:|---:|---:|---:|",
        (pair.row for pair in found),
    )
    return f"{table}\n\n{_measured_here()}"


def measurements(found: Iterable[Measured]) -> str:
    """Return the table of measurements."""
    table = _table(
        "| what | measured | taken | unit |",
        "|---|---:|---:|---|",
        (f"| {one.name} | {_figure(one.figure)} | {_figure(one.taken)} | {one.unit} |" for one in found),
    )
    return f"{table}\n\n{_measured_here()}"


def _figure(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0") if number < 100 else _n(number)


def _n(number: float) -> str:
    return f"{number:,.0f}"


def _time(hours: float) -> str:
    """Return hours as one reads them."""
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 3600 >= 60 else f"{hours * 3600:.0f} s"
