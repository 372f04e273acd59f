"""Run a soak: ``python -m benchmarks soak --minutes 5 --backend asyncio``."""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from random import Random
from subprocess import Popen
from time import monotonic
from typing import Any

import anyio
from attrs import define, field

from benchmarks.harness import leaves, line_of, running
from benchmarks.soak.cancels import WAYS, moment
from benchmarks.soak.gauges import Gauges, blocks, growth, resident
from benchmarks.soak.judge import LIFE_SHARE, Findings, Tokens, problems
from benchmarks.soak.ledger import Audit, Found
from benchmarks.soak.server import TOKEN_LIFE
from benchmarks.soak.traffic import ACTS, Act, Books, Scene
from tallyfy_async import PasswordGrant, RetryPolicy, TallyfyClient, TallyfyError
from tallyfy_async.errors import IndeterminateError, RateLimitError, ServerError, TransportError
from tallyfy_async.organization import Organization

WORKERS = 24
PATIENCE = 60.0
"""Seconds after which a call hangs: twice its deadline."""
_CUT = 0.2
_WEATHER = (RateLimitError, ServerError, TransportError)
"""What a call may end with in bad weather, once all its attempts are over."""
_RETRY = RetryPolicy(attempts=10, initial=0.1, maximum=1.0)


@define(eq=False)
class Soak:
    """One soak on one event loop.

    Attributes:
        backend: asyncio or trio.
        seconds: how long the traffic lasts.
        every: seconds between two lines of progress.
        seed: decides what is called and cut, though not in which order replies come.
        books: what happened.
        sizes: seconds since the start, and resident bytes where they can be had.
        blocks: seconds since the start, and blocks of memory that Python's objects take.

    """

    backend: str
    seconds: float
    every: float = 10.0
    seed: int = 0
    books: Books = field(factory=Books, init=False)
    sizes: list[tuple[float, float]] = field(factory=list[tuple[float, float]], init=False)
    blocks: list[tuple[float, float]] = field(factory=list[tuple[float, float]], init=False)
    _began: float = field(default=0.0, init=False)

    async def run(self, process: Popen[str]) -> Findings:
        """Make the traffic against a server of :mod:`benchmarks.soak.server`, and return what was found."""
        hello = json.loads(line_of(process))
        before = Gauges.read()
        grant = _grant(hello["login"])
        scene = await _scene(hello, grant)
        settings: dict[str, Any] = {"base_url": hello["url"], "timeout": 10, "deadline": 30, "retry": _RETRY}
        async with TallyfyClient(grant, organization=hello["login"]["organization"], **settings) as client:
            self._began = monotonic()
            await self._traffic(client, scene, hello["login"]["personal_token"])
            idle = await _settled(client, before)
        after = await _settled(None, before)
        elapsed = monotonic() - self._began
        leaks = Gauges(tasks=after.tasks, descriptors=after.descriptors, busy=idle.busy, taken=idle.taken)
        return self._found(leaks, _truth(process), elapsed)

    async def _traffic(self, client: TallyfyClient, scene: Scene, personal_token: str) -> None:
        """Call for as long as it lasts, from one client and several that are derived from it."""
        clients = [
            client,
            client.with_options(deadline=20),
            client.with_options(headers={"X-Soak": "derived"}),
            client.with_options(auth=personal_token),
        ]
        async with anyio.create_task_group() as group:
            for number in range(WORKERS):
                group.start_soon(self._work, clients[number % len(clients)].organization(), scene, number)
            await self._watch(client)

    async def _watch(self, client: TallyfyClient) -> None:
        due = self.every
        while (at := monotonic() - self._began) < self.seconds:
            if (size := resident()) is not None:
                self.sizes.append((at, float(size)))
            self.blocks.append((at, float(blocks())))
            if at >= due:
                due += self.every
                self._tell(client, at)
            await anyio.sleep(min(1.0, self.seconds / 50))

    def _tell(self, client: TallyfyClient, at: float) -> None:
        books, gauges = self.books, Gauges.read(client)
        size = f"{self.sizes[-1][1] / 2**20:.1f} MiB" if self.sizes else "memory unknown"
        print(
            f"{self.backend} {at:5.0f} s: {books.calls:,} calls, {books.cancelled:,} cut,"
            f" {books.failed.total()} failed, {books.unknown} unknown,"
            f" {books.walks:,} walks, {books.short} short; {gauges.tasks} tasks,"
            f" {gauges.descriptors} descriptors, {gauges.busy} connections busy, {gauges.taken} slots taken,"
            f" {self.blocks[-1][1]:,.0f} blocks, {size}",
            flush=True,
        )

    async def _work(self, org: Organization, scene: Scene, number: int) -> None:
        chance = Random(f"{self.seed} {number}")
        acts, weights = [*ACTS], [*ACTS.values()]
        while monotonic() - self._began < self.seconds:
            act = chance.choices(acts, weights)[0]
            with anyio.move_on_after(PATIENCE) as patience:
                await self._call(act, org, scene, chance)
            self.books.hung += patience.cancelled_caught

    async def _call(self, act: Act, org: Organization, scene: Scene, chance: Random) -> None:
        """Make one call, cut at a random moment now and then, and note how it ended."""
        ended = [False]
        work = partial(self._noted, act, org, scene, chance, ended)
        try:
            if chance.random() < _CUT:
                await chance.choice(WAYS[self.backend])(work, moment(chance))
            else:
                await work()
        except* Exception as group:  # noqa: BLE001 - the work raises nothing: a cut went wrong
            self.books.crashed.update(f"{type(error).__name__}: {error}" for error in leaves(group))
            ended[0] = True
        self.books.calls += 1
        self.books.cancelled += not ended[0]

    async def _noted(self, act: Act, org: Organization, scene: Scene, chance: Random, ended: list[bool]) -> None:
        books = self.books
        try:
            await act(books, scene, org, chance)
        except _WEATHER as error:
            if _may_have_landed(error):
                books.unknown += 1
            else:
                books.failed[type(error).__name__] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, no weather explains it
            books.crashed[f"{type(error).__name__}: {error}"] += 1
        ended[0] = True

    def _found(self, leaks: Gauges, truth: dict[str, Any], elapsed: float) -> Findings:
        books, stats = self.books, truth["stats"]
        audit = sum(
            (
                books.tasks.audit(Found.of(*task) for task in truth["tasks"]),
                books.launches.audit(map(Found.of, truth["runs"])),
                books.files.audit(map(Found.of, truth["files"])),
            ),
            start=Audit(),
        )
        tokens = Tokens(
            requests=stats["token_total"],
            lives=stats["token_lives"],
            twice=stats["presented_twice"] + stats["reuses"],
            most=elapsed / (TOKEN_LIFE * LIFE_SHARE) + 3,
        )
        return Findings(
            calls=books.calls,
            cancelled=books.cancelled,
            unknown=books.unknown,
            failed=books.failed,
            crashed=books.crashed,
            answers=stats["by_status"],
            hung=books.hung,
            walks=books.walks,
            short=books.short,
            mangled=books.mangled,
            audit=audit,
            tokens=tokens,
            leaks=leaks,
            growth=growth(self.sizes) if self.sizes else None,
            blocks=growth(self.blocks),
        )


def _may_have_landed(error: TallyfyError) -> bool:
    """Whether a write ended like this; of reads nothing can land."""
    return isinstance(error, IndeterminateError) or (isinstance(error, ServerError) and error.method != "GET")


def _grant(login: dict[str, Any]) -> PasswordGrant:
    names = ("client_id", "client_secret", "username", "password")
    return PasswordGrant(**{name: login[name] for name in names})


async def _scene(hello: dict[str, Any], grant: PasswordGrant) -> Scene:
    """Make what the calls are about, with a client of its own and past the proxy."""
    settings: dict[str, Any] = {"base_url": hello["direct"], "retry": _RETRY}
    listed = max(hello["runs"], key=lambda checklist: len(hello["runs"][checklist]))
    async with TallyfyClient(grant, organization=hello["login"]["organization"], **settings) as client:
        org = client.organization()
        me = await org.me.get()
        template = await org.checklists.create(title="Soaked", type="procedure")
        owners: Any = {"users": [int(me.id)], "guests": [], "groups": []}
        task = await org.tasks.create(title="Subject", owners=owners, deadline=datetime.now(UTC))
    return Scene(
        listed=listed, runs=frozenset(hello["runs"][listed]), launched=template.id, subject=task.id, user=int(me.id)
    )


async def _settled(client: TallyfyClient | None, before: Gauges) -> Gauges:
    """Return by how much the gauges are above ``before`` once they are no longer, or after five seconds."""
    above = Gauges.read(client).above(before)
    for _ in range(50):
        if not above.busy and not above.taken and (client is not None or above.nothing):
            break
        await anyio.sleep(0.1)
        above = Gauges.read(client).above(before)
    return above


def _truth(process: Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write("truth\n")
    process.stdin.flush()
    found: dict[str, Any] = json.loads(line_of(process))
    return found


def soak(backend: str, minutes: float, weather: str = "some", seed: int = 0) -> Findings:
    """Run one soak and return what was found. A soak that does not end is killed, with all stacks printed."""
    with running("benchmarks.soak.server", weather) as process, _bounded(minutes * 60 + 3 * PATIENCE):
        return anyio.run(Soak(backend, minutes * 60, seed=seed).run, process, backend=backend)


@contextmanager
def _bounded(seconds: float) -> Generator[None]:
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def told(backend: str, found: Findings) -> str:
    """Return the findings as a few lines of text."""
    audit, leaks, tokens = found.audit, found.leaks, found.tokens
    wrong = problems(found)
    memory = "unknown" if found.growth is None else f"{found.growth / 2**20:+.1f} MiB"
    kinds = "".join(f", {number} {kind}" for kind, number in found.failed.items())
    answers = ", ".join(f"{number:,} of {status}" for status, number in sorted(found.answers.items()))
    parts = (
        f"{backend}: {found.calls:,} calls, {found.cancelled:,} cut, {sum(found.failed.values())} failed{kinds}",
        f"  {found.walks:,} lists walked to the end, {found.unknown} writes told to have an unknown outcome",
        f"  answers of the server: {answers}",
        f"  leaks: {leaks.tasks} tasks, {leaks.descriptors} descriptors, {leaks.busy} connections, {leaks.taken} slots",
        f"  memory: {found.blocks:+,.0f} blocks of Python's, {memory} resident in the second half",
        f"  lost: {audit.lost} writes, {found.short} walks, {found.mangled} downloads",
        f"  doubled: {audit.doubled} writes, {audit.ghosts} that were told not to have happened",
        f"  tokens: {tokens.requests} requests, {tokens.lives} lives, {tokens.twice} sent twice",
    )
    return "\n".join([*parts, *(f"  WRONG {one}" for one in wrong), f"  {'FAILED' if wrong else 'passed'}"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soaks and return the exit status: 1 where one found something wrong."""
    chosen = _parser().parse_args(arguments)
    logging.getLogger("tallyfy_async").setLevel(logging.ERROR)  # lists change under many walks, and each would tell
    backends = ("asyncio", "trio") if chosen.backend == "both" else (chosen.backend,)
    failed = False
    for backend in backends:
        found = soak(backend, chosen.minutes, chosen.weather, chosen.seed)
        print(told(backend, found), flush=True)
        failed |= bool(problems(found))
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks soak", description="Mixed traffic, then what leaked or broke."
    )
    parser.add_argument("--minutes", type=_minutes, default=5.0, help="how long, for each event loop (default 5)")
    parser.add_argument("--backend", choices=("asyncio", "trio", "both"), default="both", help="one after the other")
    parser.add_argument("--weather", choices=("none", "some", "many"), default="some", help="faults of the server")
    parser.add_argument("--seed", type=int, default=0, help="decides what is called and cut (default 0)")
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError("a number above 0")
    return minutes
