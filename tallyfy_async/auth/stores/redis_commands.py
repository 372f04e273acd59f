"""The few commands that a token store sends to a Redis server: each is atomic, ends in time and may be sent again."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import anyio
from attrs import field, frozen

from tallyfy_async.errors import ConfigurationError, StoreCorruptError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

PATIENCE: Final = 3.0
"""Seconds for one command, connecting included; less than a renewal grants to a write."""

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
_AT_ONCE: Final = 32
"""Commands under way; the connections that a client may open are limited, and beyond that it fails."""
_CODE: Final = re.compile(r"[A-Z]{3,20}(?= )")


@frozen
class Stored:
    """A record as the server holds it: the generation in the clear, beside what is sealed."""

    generation: int
    sealed: bytes = field(repr=False)


@frozen
class Trouble:
    """Why the server gave no answer.

    Attributes:
        message: names the server's place and the kind of error.
        down: whether the server is away, and not merely unwilling.

    """

    message: str
    down: bool


class RedisCommands:
    """Sends the commands of a store. Trouble is returned, not raised, because foreign errors may hold secrets."""

    def __init__(self, client: Redis, clock: Clock) -> None:
        self.place = _place(client)
        self._client = client
        self._clock = clock
        self._acquire = client.register_script(_ACQUIRE)
        self._release = client.register_script(_RELEASE)
        self._write = client.register_script(_WRITE)
        self._rename = client.register_script(_RENAME)
        self._slots = anyio.Semaphore(_AT_ONCE)

    async def read(self, name: str) -> Stored | Trouble | None:
        """Return the record ``name``, None where there is none; raise StoreCorruptError for something else."""
        answer = await self._answer(lambda: cast("Awaitable[Any]", self._client.hmget(name, ["generation", "sealed"])))
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
        return _truth(await self._answer(lambda: self._write(keys=[name], args=arguments)))

    async def rename(self, name: str, other: str) -> bool | Trouble:
        """Give a record a name that nobody uses; return whether there was one."""
        return _truth(await self._answer(lambda: self._rename(keys=[name, other])))

    async def acquire(self, name: str, owner: str, lease: float, lost: Sequence[str] = ()) -> bool | Trouble:
        """Lock for ``lease`` seconds, unless somebody else has it; ``lost`` are the caller's earlier owner values."""
        arguments: list[str | int] = [owner, math.ceil(lease * 1000), *lost]
        return _truth(await self._answer(lambda: self._acquire(keys=[name], args=arguments)))

    async def release(self, name: str, owner: str) -> bool | Trouble:
        """Unlock, if ``owner`` still has the lock; return whether it had."""
        return _truth(await self._answer(lambda: self._release(keys=[name], args=[owner])))

    async def aclose(self) -> None:
        """Close the client."""
        await self._answer(self._client.aclose)

    async def _answer(self, work: Callable[[], Awaitable[T]]) -> T | Trouble:
        from redis import exceptions as foreign  # noqa: PLC0415 - an extra

        down = True
        try:
            with self._clock.timeout(PATIENCE):
                async with self._slots:
                    return await work()
            trouble = f"no answer within {PATIENCE:g} s"
        except (foreign.AuthenticationError, foreign.AuthorizationError) as error:
            down, trouble = False, _told(error)
        except (foreign.ConnectionError, foreign.TimeoutError, foreign.ReadOnlyError, OSError) as error:
            trouble = _told(error)
        except foreign.RedisError as error:
            down, trouble = isinstance(error, foreign.ClusterDownError), _told(error)
        return Trouble(f"Redis at {self.place}: {trouble}", down)


def _client_class() -> type[Redis]:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = 'RedisStore needs redis-py: pip install "tallyfy-async[redis]"'
        raise ConfigurationError(msg) from error
    return Redis


def connected(url: Secret) -> Redis:
    """Return a client of the URL that gives up quickly; the options in the URL come first. Raise ConfigurationError."""
    open_url = cast("Callable[..., Redis]", _client_class().from_url)  # pyright: ignore[reportUnknownMemberType]
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - an extra
    from redis.backoff import NoBackoff  # noqa: PLC0415 - an extra

    client: Redis | None = None
    try:
        client = open_url(
            url.reveal(),
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            # Every command of ours may be sent again; a connection that died in the pool is no reason to give up.
            retry=Retry(NoBackoff(), 1),
        )
    except (ValueError, TypeError):  # raised below, because its context would show the URL
        client = None
    if client is None:
        msg = "the URL must look like redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path"
        raise ConfigurationError(msg)
    return client


def accepted(client: Any) -> Redis:
    """Return a client that was given; raise ConfigurationError for anything else."""
    if not isinstance(client, _client_class()):
        msg = "client must be a redis.asyncio.Redis or a URL such as redis://localhost:6379/0"
        raise ConfigurationError(msg)
    return client


def _place(client: Redis) -> str:
    known: dict[str, Any] = client.connection_pool.connection_kwargs
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")


def _told(error: Exception) -> str:
    """Return the kind of a foreign error and the server's code; the rest of its text may repeat what was sent."""
    code = _CODE.match(str(error))
    return f"{type(error).__name__}{f' {code[0]}' if code else ''}"


def _truth(answer: object) -> bool | Trouble:
    return answer if isinstance(answer, Trouble) else bool(answer)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
