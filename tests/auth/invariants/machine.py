"""Random schedules over a world, found and shrunk by hypothesis."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, ClassVar

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.invariants.authority import GOOD, READINGS, Accident, Authority
from tests.auth.invariants.leaks import Trap
from tests.auth.invariants.processes import GRANTS
from tests.auth.invariants.steps import shuffle_from
from tests.auth.invariants.stores import Trouble
from tests.auth.invariants.world import World

_ECHO = '{"error": "invalid_request", "message": "in POST with client_secret=client-S3CR3T-0-S3CR3T&x=1"}'
_DELAYS = [0.0, 0.3, 4.0, 9.9, 30.0]
_ACCIDENTS = st.one_of(
    st.sampled_from(
        [
            Accident(kind="unsent"),
            Accident(kind="dropped"),
            Accident(kind="lost"),
            Accident(kind="status", status=500, body=_ECHO),
            Accident(kind="status", status=503),
            Accident(kind="status", status=429, retry_after="7"),
            Accident(kind="status", status=429, retry_after="100000"),
            Accident(kind="status", status=401, body='{"error": "invalid_client"}'),
            Accident(kind="status", status=400, body=_ECHO),
            Accident(kind="dead", status=400, body='{"error": "invalid_grant"}'),
            Accident(kind="dead", status=401, body='{"error": "invalid_request", "hint": "Token has been revoked"}'),
            Accident(kind="garbage", body="Refreshed."),
            Accident(kind="garbage", body='{"token_type": "mac", "access_token": "access-S3CR3T"}'),
            Accident(kind="garbage", body='{"access_token": "access-S3CR3T-1-S3CR3T", "expires_in": 36'),
            Accident(kind="garbage", body='{"access_token": ["access-S3CR3T-1-S3CR3T"]}'),
            Accident(kind="garbage", body='{"error": "bad_refresh_token"}'),
            Accident(changes=(("refresh_token", None),)),
            Accident(changes=(("refresh_token", ""),)),
        ]
    ),
    st.sampled_from([Accident(changes=(("expires_in", said),)) for said, _ in READINGS]),
    st.sampled_from([Accident(before=before, after=after) for before in _DELAYS for after in _DELAYS]),
    st.sampled_from([Accident(kind="lost", after=after) for after in _DELAYS]),
)
_WRONG = [("error", 0.0), ("late", 0.0), ("slow", 0.2), ("slow", 4.0), ("slow", 9.5), ("slow", 1e6)]
_TROUBLES = st.sampled_from(
    [
        Trouble(where=where, kind=kind, seconds=seconds)
        for where in ("load", "save", "lock", "unlock")
        for kind, seconds in _WRONG
    ]
)
_KINDS = st.sampled_from(
    ["get", "get", "get", "refresh", "refresh_if", "refresh_old", "rejected", "rejected", "read", "read", "write"]
)
_SECONDS = st.sampled_from([0.1, 1.0, 3.0, 5.1, 11.0, 31.0])
_TO_THE_END = st.sampled_from([3541.0, 3595.0, 3600.0])
_NODES = st.integers(0, 2)
_DEADLINES = st.sampled_from([None, None, 1.0, 8.0, 15.0])


@asynccontextmanager
async def _task_group() -> AsyncGenerator[TaskGroup, None]:
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()


class Machine(RuleBasedStateMachine):
    """Processes of one line under random calls, cancellations, accidents, troubles and clocks."""

    backend: ClassVar[str] = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        shuffle_from(0)
        self.world: World | None = None
        with ExitStack() as stack:
            self._trap = stack.enter_context(Trap())
            self._portal = stack.enter_context(start_blocking_portal(self.backend))
            self._group = stack.enter_context(self._portal.wrap_async_context_manager(_task_group()))
            self._stack = stack.pop_all()

    def _do(self, method: str, *arguments: Any, **named: Any) -> None:
        async def act() -> None:
            await getattr(self.world, method)(*arguments, **named)

        self._portal.call(act)

    @initialize(
        name=st.sampled_from(sorted(GRANTS)),
        sizes=st.tuples(st.integers(1, 3), st.sampled_from([0, 0, 2])),
        life=st.sampled_from([3600, 3600, 3600, 3600, 3, 0, None]),
        usual=st.sampled_from([GOOD, Accident(before=0.1, after=0.1), Accident(before=1.0, after=2.0)]),
        pace=st.sampled_from([0.0, 0.0, 0.05]),
    )
    def open(self, name: str, sizes: tuple[int, int], life: Any, usual: Accident, pace: float) -> None:
        clock = ManualClock(autojump=False)
        count, retries = sizes
        self.world = World(name, clock, Authority(clock=clock), self._trap, retries, self._group)
        self._do("open", count, life, usual, pace)

    @rule(at=_NODES, kind=_KINDS, count=st.sampled_from([1, 2, 5]), deadline=_DEADLINES)
    def start(self, at: int, kind: str, count: int, deadline: float | None) -> None:
        self._do("revive")
        self._do("start", at, kind, count, deadline)

    @rule(seconds=_TO_THE_END, kinds=st.lists(_KINDS, min_size=1, max_size=6), deadline=_DEADLINES)
    def race_at_the_end(self, seconds: float, kinds: list[str], deadline: float | None) -> None:
        self._do("revive")
        self._do("advance", seconds)
        self._do("race", kinds, deadline)

    @rule(kinds=st.lists(_KINDS, min_size=2, max_size=6), accident=_ACCIDENTS, seconds=_TO_THE_END)
    def race_into_an_accident(self, kinds: list[str], accident: Accident, seconds: float) -> None:
        assert self.world is not None
        self._do("revive")
        self._do("advance", seconds)
        self.world.authority.accidents.append(accident)
        self._do("race", kinds, None)

    @rule(at=_NODES, kind=_KINDS, troubles=st.lists(_TROUBLES, min_size=1, max_size=2), seconds=_TO_THE_END)
    def have_troubles(self, at: int, kind: str, troubles: list[Trouble], seconds: float) -> None:
        assert self.world is not None
        self._do("revive")
        self._do("advance", seconds)
        self._do("trouble", at, kind, troubles)

    @rule(kinds=st.lists(_KINDS, min_size=2, max_size=6), at_once=st.booleans())
    def race_after_a_revocation(self, kinds: list[str], at_once: bool) -> None:
        assert self.world is not None
        self._do("revive")
        self.world.authority.revoke()
        if at_once:
            self._do("race", ["read", *kinds], None)

    @rule(
        at=_NODES, seconds=st.sampled_from([0.0, *_DELAYS]), status=st.sampled_from([401, 401, 401, 403, 503, 0, None])
    )
    def answer_a_call(self, at: int, seconds: float, status: int | None) -> None:
        assert self.world is not None
        nodes = self.world.nodes
        nodes[at % len(nodes)].api.accidents.append((seconds, status))

    @precondition(lambda self: self.world is not None and self.world.running)
    @rule(which=st.integers(0, 9), natively=st.booleans())
    def cancel(self, which: int, natively: bool) -> None:
        self._do("cancel", which, natively=natively)

    @rule(seconds=_SECONDS)
    def advance(self, seconds: float) -> None:
        self._do("advance", seconds)

    @rule(seconds=st.sampled_from([-86400.0, -7200.0, -60.0, 60.0, 7200.0, 86400.0]))
    def jump(self, seconds: float) -> None:
        assert self.world is not None
        self.world.authority.jump(seconds)

    @rule(at=_NODES, kind=st.sampled_from(["adopt", "adopt", "forget", "close"]))
    def intervene(self, at: int, kind: str) -> None:
        self._do("start", at, kind)

    @rule()
    def lose_the_lock(self) -> None:
        self._do("lose_lock")

    @invariant()
    def all_is_well(self) -> None:
        if self.world is not None:
            self.world.check()

    def teardown(self) -> None:
        try:
            if self.world is not None:
                self._do("finish")
                self.world.check()
        finally:
            self._stack.close()


class TrioMachine(Machine):
    """The same on trio."""

    backend: ClassVar[str] = "trio"


MACHINES: dict[str, type[Machine]] = {"asyncio": Machine, "trio": TrioMachine}
