"""What a soak found, and whether it passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from benchmarks.soak.gauges import Gauges
from benchmarks.soak.ledger import Audit

GROWTH = 6 * 2**20
"""Bytes by which the resident memory may grow in the second half, most of which is noise of the allocator: a coarse net
for what Python's own blocks do not hold.
"""
BLOCKS = 5_000
"""Blocks by which Python's objects may grow in the second half, three times the spread of what is under way: two that
are kept for each call are found in one minute, one for each in five.
"""
GIVEN_UP = 0.01
"""Share of calls that may fail after all their attempts, or three calls where that is more."""
LIFE_SHARE = 0.8
"""Share of a token's life that must be over before the next request for one."""


@frozen(kw_only=True)
class Tokens:
    """What the server saw at its token endpoint.

    Attributes:
        requests: all of them.
        lives: access tokens that it gave.
        twice: refresh tokens that came in more than one request.
        most: as many requests as the time allows without a storm.

    """

    requests: int
    lives: int
    twice: int
    most: float


@frozen(kw_only=True)
class Findings:
    """What a soak found.

    Attributes:
        calls: that ended in any way.
        cancelled: that were cut by the caller.
        unknown: writes of which the client said that they may have landed.
        failed: error -> calls that ended with it, as bad weather may have it, unknown writes apart.
        crashed: any other error -> calls that ended with it.
        answers: status -> answers of the server with it; what the proxy cut is not among them.
        hung: calls that did not end within their time.
        walks: lists that were walked to the end.
        short: walks that ended without all items.
        mangled: downloads that differ from what was uploaded.
        audit: writes against what the server holds.
        tokens: what the token endpoint saw.
        leaks: what is left after the traffic and after closing.
        growth: bytes by which the resident memory grew in the second half, None where they cannot be had.
        blocks: blocks of memory by which Python's objects grew in the second half.

    """

    calls: int
    cancelled: int = 0
    unknown: int = 0
    failed: Mapping[str, int] = field(factory=dict[str, int])
    crashed: Mapping[str, int] = field(factory=dict[str, int])
    answers: Mapping[str, int] = field(factory=dict[str, int])
    hung: int = 0
    walks: int = 0
    short: int = 0
    mangled: int = 0
    audit: Audit = field(factory=Audit)
    tokens: Tokens
    leaks: Gauges
    growth: float | None = None
    blocks: float = 0.0


def problems(found: Findings) -> list[str]:
    """Return what is wrong, nothing where the soak passes."""
    return [*_losses(found), *_leaks(found), *_storms(found), *_failures(found)]


def _losses(found: Findings) -> Iterator[str]:
    audit = found.audit
    if audit.lost:
        yield f"lost: {audit.lost} writes that succeeded are not on the server"
    if found.short:
        yield f"lost: {found.short} walks ended without all items"
    if found.mangled:
        yield f"lost: {found.mangled} downloads differ from what was uploaded"
    if audit.doubled:
        yield f"doubled: {audit.doubled} writes landed more than once"
    if audit.ghosts:
        yield f"doubled: {audit.ghosts} writes are on the server of which the client said that nothing happened"


def _leaks(found: Findings) -> Iterator[str]:
    leaks = found.leaks
    named = {
        "tasks": leaks.tasks,
        "descriptors": leaks.descriptors,
        "busy connections": leaks.busy,
        "slots": leaks.taken,
    }
    for name, number in named.items():
        if number:
            yield f"leaked: {number} {name}"
    if found.blocks > BLOCKS:
        yield f"leaked: {found.blocks:.0f} blocks of Python's memory in the second half"
    if found.growth is not None and found.growth > GROWTH:
        yield f"leaked: {found.growth / 2**20:.1f} MiB of memory in the second half"


def _storms(found: Findings) -> Iterator[str]:
    tokens = found.tokens
    if tokens.requests != tokens.lives:
        yield f"tokens: {tokens.requests} requests for {tokens.lives} lives"
    if tokens.twice:
        yield f"tokens: {tokens.twice} refresh tokens were sent twice"
    if tokens.requests > tokens.most:
        yield f"tokens: {tokens.requests} requests where {tokens.most:.0f} would do"


def _failures(found: Findings) -> Iterator[str]:
    if not found.calls:
        yield "nothing was called"
    if found.hung:
        yield f"hung: {found.hung} calls"
    for kind, number in found.crashed.items():
        yield f"crashed: {number} calls with {kind}"
    failed = sum(found.failed.values())
    if failed > max(3, found.calls * GIVEN_UP):
        told = ", ".join(f"{number} {kind}" for kind, number in found.failed.items())
        yield f"failed: {failed} of {found.calls} calls ({told})"
