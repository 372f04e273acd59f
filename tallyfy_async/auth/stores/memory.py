"""Token records in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import EventLoopToken, current_token
from attrs import define, field

from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ClientLoopError


@define
class _Gate:
    loop: EventLoopToken
    lock: anyio.Lock = field(factory=anyio.Lock)
    users: int = 0


class MemoryStore:
    """Keeps records in memory: enough where tokens may be asked for anew after a restart.

    Several managers may share it; they renew a token once between them. Its locks belong to one event loop at a time:
    ``lock`` raises ClientLoopError while another loop uses the same one.
    """

    def __init__(self) -> None:
        self._records: dict[str, Token] = {}
        self._gates: dict[str, _Gate] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._records)} records>"

    async def load(self, key: str) -> Token | None:
        """Return the record under ``key``, None where there is none."""
        return self._records.get(key)

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        """Write ``token``, if the stored generation is ``expected``; return whether it was."""
        stored = self._records.get(key)
        if (None if stored is None else stored.generation) != expected:
            return False
        self._records[key] = token
        return True

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        """Hold ``key``'s lock; locks that nobody holds or waits for are forgotten."""
        loop = current_token()
        gate = self._gates.setdefault(key, _Gate(loop))
        if gate.loop != loop:
            msg = (
                "this MemoryStore is in use in another event loop: give each loop its own, or let them share "
                "a FileStore or RedisStore"
            )
            raise ClientLoopError(msg)
        gate.users += 1
        try:
            async with gate.lock:
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[key]
