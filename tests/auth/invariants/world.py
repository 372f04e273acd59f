"""Several processes with one line of tokens between them, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from anyio.abc import TaskGroup
from attrs import define, field

from tallyfy_async import AmbiguousRefreshError, ClientClosedError, ReauthenticationRequiredError, TallyfyError, Token
from tallyfy_async.auth.oauth_client import Grant
from tallyfy_async.auth.token import EMPTY, Held
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.invariants.authority import Accident, Authority, secret
from tests.auth.invariants.leaks import Trap, leaked, reprs, shown
from tests.auth.invariants.processes import GRANTS, Node, Op, call, start_node
from tests.auth.invariants.steps import living, native, pass_time, settle
from tests.auth.invariants.stores import Shared, Trouble

REFRESH_TIMEOUT = 10.0
LIMIT = 20.0
GRAIN = 0.01
LOGS_IN = {"password", "client_credentials"}
_OF_TOKENS = {"get", "refresh", "refresh_if", "refresh_old", "rejected", "adopt", "forget"}


@define(eq=False, repr=False)
class World:
    """All of it. Every method leaves everything at rest, and :meth:`check` says whether all is well."""

    name: str
    clock: ManualClock
    authority: Authority
    trap: Trap
    retries: int
    group: TaskGroup
    grant: Grant = field(init=False)
    shared: Shared = field(factory=Shared)
    nodes: list[Node] = field(factory=list[Node])
    running: list[Op] = field(factory=list[Op])
    violations: list[str] = field(factory=list[str])
    operations: int = 0
    last: Op = field(init=False)
    census: int = 0
    pace: float = 0.0
    done: list[Op] = field(factory=list[Op])
    adoption: Token | None = None
    given_up: bool = False
    store_is_slow: bool = False
    retired: list[Node] = field(factory=list[Node])

    async def open(self, count: int, life: Any, usual: Accident, pace: float) -> None:
        """Start so many processes of one line whose tokens live for ``life`` seconds."""
        self.grant = GRANTS[self.name]()
        self.authority.stored = lambda: self.shared.record
        self.authority.life = life
        self.authority.usual = usual
        self.pace = pace
        self.authority.replays = int(self.name == "replay")
        self.authority.usable.add(secret("first"))
        self.nodes = [self.node() for _ in range(count)]
        await settle()
        self.census = living()

    def node(self) -> Node:
        return start_node(self.grant, self.authority, self.shared, pace=self.pace, retries=self.retries)

    async def start(self, at: int, kind: str, count: int = 1, deadline: float | None = None) -> None:
        """Start ``count`` operations of one process at once."""
        for _ in range(count):
            self._begin(self.nodes[at % len(self.nodes)], kind, deadline)
        await self.rest()

    async def race(self, kinds: list[str], deadline: float | None) -> None:
        """Start an operation of each process in turn, all at once."""
        for at, kind in enumerate(kinds):
            self._begin(self.nodes[at % len(self.nodes)], kind, deadline)
        await self.rest()

    def _begin(self, node: Node, kind: str, deadline: float | None) -> None:
        self.operations += 1
        op = Op(node, kind, deadline, self.clock.monotonic(), self.operations, node.generation)
        self.running.append(op)
        self.last = op
        if native():
            op.task = asyncio.create_task(self._run(op))
        else:
            self.group.start_soon(self._run, op)

    async def _run(self, op: Op) -> None:
        try:
            with op.scope, self.clock.timeout(math.inf if op.deadline is None else op.deadline) as scope:
                op.result = await self._act(op)
            op.timed_out = scope.cancelled_caught
        except Exception as error:  # noqa: BLE001 - what is no error of ours is a violation, see _judge
            op.error = error
        finally:
            op.ended = self.clock.monotonic()
            self.done.append(op)

    async def _act(self, op: Op) -> Token | None:
        tokens = op.node.tokens
        match op.kind:
            case "get":
                return await tokens.get()
            case "adopt":
                return await self._adopt(op.node)
            case "forget":
                self._disturb()
                await tokens.forget()
            case "read" | "write":
                await call(op)
            case "close":
                await self._close(op.node)
            case _:
                return await self._renew(op, tokens._held)
        return None

    async def _renew(self, op: Op, held: Held | None) -> Token | None:
        tokens = op.node.tokens
        generation = 0 if held is None else held.token.generation
        match op.kind:
            case "refresh":
                self._refuse(held)
                return await tokens.refresh()
            case "refresh_if":
                self._refuse(held)
                return await tokens.refresh(if_generation=generation)
            case "refresh_old":
                return await tokens.refresh(if_generation=generation - 1)
            case "rejected" if held is not None:
                self._refuse(held)
                return await tokens.rejected(held.token)
            case _:  # nothing is held that could be rejected
                return None

    def _refuse(self, held: Held | None) -> None:
        if held is not None:
            self.authority.refused.add(held.token.access_token.reveal())

    def _disturb(self) -> None:
        self.authority.disturbed = True

    async def _adopt(self, node: Node) -> Token:
        life = self.authority.issue(3600.0)
        self._disturb()
        token = await node.tokens.adopt(self.authority.record_of(life))
        self.authority.adopted(life, token)
        self.adoption = token
        return token

    async def _close(self, node: Node) -> None:
        try:
            await node.tokens.aclose()
        finally:
            if node.tokens.statistics.unpersisted:
                self.given_up = True
                self._disturb()

    async def trouble(self, at: int, kind: str, troubles: list[Trouble]) -> None:
        """Start an operation of a process whose store is in trouble."""
        self.store_is_slow = self.store_is_slow or any(trouble.seconds for trouble in troubles)
        self.nodes[at % len(self.nodes)].view.troubles += troubles
        await self.start(at, kind)

    async def cancel(self, which: int, *, natively: bool) -> None:
        """Cancel one of the operations that are under way."""
        if not self.running:
            return
        op = self.running[which % len(self.running)]
        op.cancelled = True
        if natively and op.task is not None:
            op.task.cancel()
        else:
            op.scope.cancel()
        await self.rest()

    async def lose_lock(self) -> None:
        """Take the lock of the store away from whoever holds it."""
        self._disturb()
        self.shared.lose_lock()
        await self.rest()

    async def revive(self) -> None:
        """Log in again where the line is dead, so that there is something to see."""
        if not self.running and not self._can_go_on():
            await self.start(0, "adopt")
            await self.advance(LIMIT)

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await pass_time(self.clock, seconds)
        await self.rest()

    async def rest(self) -> None:
        """Let everything run that can, and judge what has ended."""
        await settle()
        ended, self.done = self.done, []
        self.running = [op for op in self.running if op.ended is None]
        for op in ended:
            self._judge(op)
            if op.kind == "close":
                self._judge_close(op)
        if not self.running:
            self._judge_rest()
        self.violations += self.authority.violations
        self.authority.violations.clear()

    def _judge(self, op: Op) -> None:
        self._judge_wait(op)
        if op.error is not None:
            self._judge_error(op.error)
        if op.kind in {"read", "write"}:
            self._judge_sends(op)
        if op.result is not None:
            access = op.result.access_token.reveal()
            if access not in self.authority.lives:
                self.violations.append(f"{op.kind} returned a token that nobody issued")
            if op.result.generation < op.floor:
                self.violations.append(f"{op.kind} returned {op.result.generation} after {op.floor}")
            op.node.generation = max(op.node.generation, op.result.generation)

    def _judge_wait(self, op: Op) -> None:
        waited = (op.ended or 0.0) - op.started
        # The time limit of a renewal is longer than refresh_timeout only by what the store takes for its part of it.
        most = LIMIT if self.store_is_slow or len(self.nodes) > 1 else REFRESH_TIMEOUT + 10 * self.pace
        allowed = 3 * most if op.deadline is None else op.deadline + most
        if op.kind in {"read", "write"} and op.deadline is None:
            allowed = op.node.engine.deadline + most
        if op.kind == "close":
            allowed = LIMIT
        if waited > allowed + GRAIN:
            self.violations.append(f"{op.kind} with the deadline {op.deadline} took {waited:.2f} s")

    def _judge_error(self, error: Exception) -> None:
        if not isinstance(error, TallyfyError):
            self.violations.append(f"an error that is none of ours: {error!r}")
        elif found := leaked(shown(error)):
            self.violations.append(f"{type(error).__name__} shows a secret: {found[:3]}")

    def _judge_sends(self, op: Op) -> None:
        sends = op.node.api.sends.get(str(op.number), [])
        refused = [send for send in sends if send.status == 401]
        tokens = {send.access for send in refused}
        # Only a token that ended on its way lets a call ask a third time, and a fourth.
        if len(refused) > 4 or sum(send.good for send in refused) > 2 or len(tokens) < len(refused):
            self.violations.append(f"a call was sent {len(refused)} times to a 401, {len(tokens)} tokens")
        if len(sends) - len(refused) > self.retries + 1:
            self.violations.append(f"a call was sent {len(sends)} times")

    def _judge_close(self, op: Op) -> None:
        late = [one.kind for one in self.running if one.node is op.node and one.kind in _OF_TOKENS]
        if not op.cancelled and op.error is None and late:
            self.violations.append(f"closed, and still under way: {late}")
        if op.node in self.nodes:
            self.retired.append(op.node)
            self.nodes[self.nodes.index(op.node)] = self.node()

    def _judge_rest(self) -> None:
        """Judge what must be so whenever nobody waits for anything."""
        if (left := living() - self.census) != 0:
            self.violations.append(f"{left} tasks are left although nobody waits")
        asked = sum(node.tokens.statistics.requests for node in [*self.nodes, *self.retired])
        if asked != len(self.authority.arrivals):
            self.violations.append(f"{asked} requests were counted, {len(self.authority.arrivals)} came in")
        held = [seconds for node in [*self.nodes, *self.retired] for seconds in node.view.held]
        if max(held, default=0.0) > LIMIT + GRAIN:
            self.violations.append(f"the lock of the store was held for {max(held):.2f} s")
        self._judge_store()

    def _judge_store(self) -> None:
        record, authority = self.shared.record, self.authority
        generation = 0 if record is None else record.generation
        reported = any(node.tokens.statistics.unpersisted for node in self.nodes)
        if generation < authority.top and not reported and not self.given_up:
            self.violations.append(f"the store has generation {generation}, {authority.top} was answered")
        if generation > authority.top and not authority.disturbed:
            self.violations.append(f"the store has generation {generation}, only {authority.top} was answered")
        if self._overwrites_adoption(record):
            self.violations.append(f"the token that was adopted as generation {generation} was overwritten")
        life = None if record is None else authority.lives.get(record.access_token.reveal())
        if life is not None and authority.disturbed:
            life.generation = generation
        if not reported:
            authority.top, authority.disturbed, self.given_up = generation, False, False

    def _overwrites_adoption(self, record: Token | None) -> bool:
        adopted = self.adoption
        if adopted is None or record is None or record.generation != adopted.generation:
            return False
        return record.access_token not in {adopted.access_token, EMPTY}

    def shown(self) -> str:
        """Return what objects say of themselves."""
        managers = [thing for node in self.nodes for thing in (node.tokens, node.tokens.statistics, node.engine)]
        return reprs(*managers, self.grant, self.shared.record)

    def check(self) -> None:
        """Raise AssertionError where anything is wrong."""
        wrong = self.violations + [f"logged: {text[:300]}" for text in self.trap.shown + self.trap.complaints]
        wrong += [f"shown: {line}" for line in leaked(self.shown())]
        if wrong:
            raise AssertionError("\n".join(wrong))

    async def finish(self) -> None:
        """End all troubles, and see that every process recovers, closes, and leaves nothing behind."""
        self.authority.accidents.clear()
        for node in self.nodes:
            node.view.troubles.clear()
            node.api.accidents.clear()
        for _ in range(100):
            if self.running:
                await self.advance(1)
        if self.running:
            self.violations.append(f"hanging: {[op.kind for op in self.running]}")
        await self.advance(310)
        for _ in range(2):
            for at in range(len(self.nodes)):
                await self._recovers(at)
        if any(node.tokens.statistics.unpersisted for node in self.nodes):
            self.violations.append("a token is still not in the store")
        await self._close_all()

    async def _recovers(self, at: int) -> None:
        usable = self._can_go_on()
        await self.start(at, "get")
        op = self.last
        await self.advance(LIMIT)
        dead = isinstance(op.error, AmbiguousRefreshError | ReauthenticationRequiredError)
        if op.error is not None and (usable or not dead):
            self.violations.append(f"a call after all troubles fails: {op.error!r}")

    def _can_go_on(self) -> bool:
        """Whether the line can be renewed: by a login, or because what it takes was not spent."""
        if self.name in LOGS_IN:
            return True
        record = self.shared.record
        if record is None:
            return secret("first") in self.authority.usable
        once = None if record.refresh_token is None else record.refresh_token.reveal()
        return not record.presented and once in self.authority.usable

    async def _close_all(self) -> None:
        nodes = list(self.nodes)
        for node in nodes:
            await node.tokens.aclose()
            try:
                await node.tokens.get()
            except ClientClosedError:
                continue
            self.violations.append("a closed manager handed out a token")
        await settle()
        if living() != self.census:
            self.violations.append(f"{living() - self.census} tasks are left after everything was closed")
