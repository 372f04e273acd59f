"""The few commands that a token store sends to a Redis server: each is atomic and may be sent again."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import field, frozen

from tallyfy_async.auth.stores.redis_commands import RedisCommands, Trouble
from tallyfy_async.errors import StoreCorruptError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock

if TYPE_CHECKING:
    from redis.asyncio import Redis

_ACQUIRE: Final = """
local owner = redis.call('get', KEYS[1])
local free = not owner or owner == ARGV[1]
for place = 3, #ARGV do free = free or owner == ARGV[place] end
if not free then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
"""
_RELEASE: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""
_WRITE: Final = """
local stored = redis.call('hmget', KEYS[1], 'generation', 'sealed')
if stored[2] == ARGV[3] then return 1 end
if (stored[1] or '') ~= ARGV[1] then return 0 end
if ARGV[4] ~= '' and stored[2] ~= ARGV[4] then return 0 end
redis.call('hset', KEYS[1], 'generation', ARGV[2], 'sealed', ARGV[3])
return 1
"""
_RENAME: Final = """
if redis.call('exists', KEYS[2]) == 1 then return 1 end
if redis.call('exists', KEYS[1]) == 0 then return 0 end
redis.call('rename', KEYS[1], KEYS[2])
return 1
"""


@frozen
class Stored:
    """A record as the server holds it: the generation in the clear, beside what is sealed."""

    generation: int
    sealed: bytes = field(repr=False)


class RedisRecords(RedisCommands):
    """Token records and locks. Trouble is returned, not raised."""

    def __init__(self, client: Redis | Secret, clock: Clock) -> None:
        super().__init__(client, clock)
        self._acquire = self.client.register_script(_ACQUIRE)
        self._release = self.client.register_script(_RELEASE)
        self._write = self.client.register_script(_WRITE)
        self._rename = self.client.register_script(_RENAME)

    async def read(self, name: str) -> Stored | Trouble | None:
        """Return the record ``name``, None where there is none; raise StoreCorruptError for something else."""
        answer = await self.answer(lambda: cast("Awaitable[Any]", self.client.hmget(name, ["generation", "sealed"])))
        if isinstance(answer, Trouble):
            return answer
        generation, sealed = (_bytes(value) for value in answer)
        if generation is None and sealed is None:
            return None
        if generation is None or sealed is None or not generation.isdigit():
            msg = f"Redis at {self.place} holds something that is not a token record"
            raise StoreCorruptError(msg)
        return Stored(int(generation), sealed)

    async def write(
        self, name: str, generation: int, sealed: bytes, expected: int | None, seen: bytes | None
    ) -> bool | Trouble:
        """Write over the generation ``expected`` (None: nothing) and, where given, over the very record ``seen``."""
        arguments: list[bytes | str | int] = ["" if expected is None else expected, generation, sealed, seen or b""]
        return _truth(await self.answer(lambda: self._write(keys=[name], args=arguments)))

    async def rename(self, name: str, other: str) -> bool | Trouble:
        """Give a record a name that nobody uses; return whether there was one."""
        return _truth(await self.answer(lambda: self._rename(keys=[name, other])))

    async def acquire(self, name: str, owner: str, lease: float, lost: Sequence[str] = ()) -> bool | Trouble:
        """Lock for ``lease`` seconds, unless somebody else has it; ``lost`` are the caller's earlier owner values."""
        arguments: list[str | int] = [owner, math.ceil(lease * 1000), *lost]
        return _truth(await self.answer(lambda: self._acquire(keys=[name], args=arguments)))

    async def release(self, name: str, owner: str) -> bool | Trouble:
        """Unlock, if ``owner`` still has the lock; return whether it had."""
        return _truth(await self.answer(lambda: self._release(keys=[name], args=[owner])))


def _truth(answer: object) -> bool | Trouble:
    return answer if isinstance(answer, Trouble) else bool(answer)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
