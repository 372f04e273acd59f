"""The same calls on trio and on asyncio: processor time of the client for a call, as information."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Line, server
from benchmarks.sampling import Job, lines


def measure(rounds: int) -> Iterator[Line]:
    """Measure both event loops."""
    with server() as url:
        trio = Job(side="tallyfy_async", url=url, at_once=(1, 20, 100), connections=100, backend="trio")
        asyncio = evolve(trio, backend="asyncio")
        yield from lines("backends", "GET of a task on trio", rounds, [trio, asyncio], against="asyncio")
        page = evolve(trio, what="page", at_once=(1,), calls=20)
        sides = [page, evolve(page, backend="asyncio")]
        yield from lines("backends", "page of 100 tasks on trio", rounds, sides, against="asyncio")
