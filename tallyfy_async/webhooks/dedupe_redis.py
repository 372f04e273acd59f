"""Which events were handled, on a Redis or Valkey server that machines share; redis.asyncio, so asyncio only."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tallyfy_async.auth.stores.redis_commands import RedisCommands, RedisUser, Trouble
from tallyfy_async.errors import StoreError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.shelter import run_in_child
from tallyfy_async.webhooks.dedupe import KEEP, Verdict, check_keep

if TYPE_CHECKING:
    from redis.asyncio import Redis

_CLOCK: Final = SystemClock()

# The server's clock decides, because those of the machines may differ. Rules: Record in dedupe.py.
_CLAIM: Final = """
local order = tonumber(ARGV[2])
local stored = redis.call('hmget', KEYS[1], 'done', 'owner', 'order', 'until')
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if stored[1] then
    if order == tonumber(stored[1]) then return 'duplicate' end
    if order < tonumber(stored[1]) then return 'stale' end
end
if stored[2] and stored[2] ~= ARGV[1] and tonumber(stored[4]) > now then
    if tonumber(stored[3]) < order then return 'wait' end
    return 'busy'
end
redis.call('hset', KEYS[1], 'owner', ARGV[1], 'order', ARGV[2], 'until', string.format('%.0f', now + ARGV[3]))
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[3]) then redis.call('pexpire', KEYS[1], ARGV[3]) end
return 'claimed'
"""
_DONE: Final = """
local stored = redis.call('hmget', KEYS[1], 'done', 'owner')
local done = stored[1]
if not done or tonumber(done) < tonumber(ARGV[2]) then done = ARGV[2] end
redis.call('hset', KEYS[1], 'done', done)
if stored[2] == ARGV[1] then redis.call('hdel', KEYS[1], 'owner', 'order', 'until') end
redis.call('pexpire', KEYS[1], ARGV[3])
return 1
"""
_RELEASE: Final = """
local stored = redis.call('hmget', KEYS[1], 'done', 'owner')
if stored[2] ~= ARGV[1] then return 0 end
if stored[1] then return redis.call('hdel', KEYS[1], 'owner', 'order', 'until') end
return redis.call('del', KEYS[1])
"""


class RedisDedupe(RedisUser[RedisCommands]):
    """Remembers on a Redis or Valkey server, for processes on many machines.

    One store belongs to one event loop of one process. Give the server ``maxmemory-policy noeviction``, or events that
    it forgot are handled again when they are repeated.

    Args:
        client: a ``redis.asyncio.Redis``, which stays the caller's, or a URL such as ``rediss://user:password@host/0``,
            whose connections :meth:`aclose` or ``async with`` closes.
        prefix: begins the names of all keys on the server.
        keep: seconds for which a key is remembered.
        clock: time, of the patience with the server; leases go by the server's own.

    Raises ConfigurationError for wrong arguments, without the extra ``redis``, and when used under trio. Its methods
    raise StoreError where the server gives no answer.

    """

    _instead: ClassVar[str] = "SQLiteDedupe"

    def __init__(
        self,
        client: Redis | str | Secret,
        *,
        prefix: str = "tallyfy_async:events",
        keep: float = KEEP,
        clock: Clock = _CLOCK,
    ) -> None:
        client = Secret(client) if isinstance(client, str) else client  # no URL in the clear in a traceback
        super().__init__(RedisCommands(client, clock))
        self._prefix, self._keep = prefix, check_keep(keep)
        self._client = self._server.client
        self._claim, self._done, self._release = map(self._client.register_script, (_CLAIM, _DONE, _RELEASE))

    def __repr__(self) -> str:
        return f"<RedisDedupe {self._prefix!r}>"

    async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
        """Take a key; see DedupeStore."""
        arguments: list[str | int] = [owner, order, math.ceil(lease * 1000)]
        answer = await self._ask(partial(self._claim, keys=[self._name(key)], args=arguments))
        return Verdict(answer.decode() if isinstance(answer, bytes) else answer)

    async def done(self, key: str, owner: str, *, order: int) -> None:
        """Remember that the event was handled; see DedupeStore."""
        arguments: list[str | int] = [owner, order, math.ceil(self._keep * 1000)]
        await self._ask(partial(self._done, keys=[self._name(key)], args=arguments))

    async def release(self, key: str, owner: str) -> None:
        """End the claim; see DedupeStore."""
        await self._ask(partial(self._release, keys=[self._name(key)], args=[owner]))

    async def forget(self, key: str) -> None:
        """Forget a key; see DedupeStore."""
        await self._ask(partial(self._client.delete, self._name(key)))

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    async def _ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        self._check_loop()
        # In a child, because redis.asyncio loses connections to a native cancellation.
        answer = await run_in_child(partial(self._server.answer, work))
        if isinstance(answer, Trouble):
            raise StoreError(answer.message)
        return answer
