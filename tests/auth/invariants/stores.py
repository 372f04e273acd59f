"""A store that several processes share, and the troubles that each of them has with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from tallyfy_async import StoreError, StoreLockTimeoutError, Token
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import KEY


@frozen(kw_only=True)
class Trouble:
    """What goes wrong with one access: ``error`` before it does anything, ``late`` after it did, or it takes long."""

    where: str
    kind: str = "slow"
    seconds: float = 0.0


@define(eq=False, repr=False)
class Shared:
    """The record, and a lock that is a lease: it can be lost while it is held."""

    records: dict[str, Token] = field(factory=dict[str, Token])
    gate: anyio.Lock = field(factory=anyio.Lock)

    def lose_lock(self) -> None:
        self.gate = anyio.Lock()

    @property
    def record(self) -> Token | None:
        return self.records.get(KEY)


@define(eq=False, repr=False)
class View:
    """The store as one process sees it.

    It is fenced as RedisStore is: a write that advances the line needs the generation that it started from, and one
    that does not needs the very record that was read under the lock.
    """

    shared: Shared
    clock: ManualClock
    pace: float = 0.0
    troubles: list[Trouble] = field(factory=list[Trouble])
    held: list[float] = field(factory=list[float])
    _locked: bool = False
    _seen: Token | None = None

    async def load(self, key: str) -> Token | None:
        trouble = await self._meet("load")
        token = self.shared.records.get(key)
        if self._locked:
            self._seen = token
        self._part(trouble)
        return token

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        trouble = await self._meet("save")
        stored = self.shared.records.get(key)
        fits = (None if stored is None else stored.generation) == expected
        if self._locked and token.generation == expected:
            fits = fits and stored == self._seen
        if fits:
            self.shared.records[key] = token
            self._seen = token
        self._part(trouble)
        return fits

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        await self._meet("lock")
        while True:
            gate = self.shared.gate
            async with gate:
                if gate is not self.shared.gate:
                    continue
                self._locked, since = True, self.clock.monotonic()
                try:
                    yield
                finally:
                    self._locked = False
                    self.held.append(self.clock.monotonic() - since)
                self._part(self._taken("unlock"))
                return

    def _taken(self, where: str) -> Trouble:
        for trouble in self.troubles:
            if trouble.where == where:
                self.troubles.remove(trouble)
                return trouble
        return Trouble(where=where, seconds=self.pace)

    async def _meet(self, where: str) -> Trouble:
        trouble = self._taken(where)
        await anyio.lowlevel.checkpoint()
        if trouble.seconds:
            await self.clock.sleep(trouble.seconds)
        if trouble.kind == "error":
            self._raise(where)
        return trouble

    def _part(self, trouble: Trouble) -> None:
        if trouble.kind == "late" or (trouble.where == "unlock" and trouble.kind == "error"):
            self._raise(trouble.where)

    def _raise(self, where: str) -> None:
        if where == "lock":
            raise StoreLockTimeoutError("the lock of the store is not to be had")
        raise StoreError(f"the store failed: {where}")
