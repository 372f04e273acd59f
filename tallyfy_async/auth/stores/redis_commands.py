"""What sends commands to a Redis or Valkey server by redis.asyncio: each ends in time, and trouble is returned."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar, cast

import anyio
from anyio.lowlevel import current_token
from attrs import frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.shelter import LoopGuard, run_in_child

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

PATIENCE: Final = 3.0
"""Seconds for one command, connecting included; less than a renewal grants to a write."""
_AT_ONCE: Final = 32
"""Commands under way; the connections that a client may open are limited, and beyond that it fails."""
_CODE: Final = re.compile(r"[A-Z]{3,20}(?= )")


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
    """Sends commands. Trouble is returned, not raised, because foreign errors may hold secrets.

    Args:
        client: a ``redis.asyncio.Redis``, which stays the caller's, or a URL, whose connections :meth:`aclose` closes.
        clock: time.

    Attributes:
        client: the foreign client.
        place: host and port of the server, or the path of its socket.

    Raises ConfigurationError for wrong arguments, and without the extra ``redis``.

    """

    def __init__(self, client: Redis | Secret, clock: Clock) -> None:
        self._opened = isinstance(client, Secret)
        self.client = _connected(client) if isinstance(client, Secret) else _accepted(client)
        self.place = _place(self.client)
        self._clock = clock
        self._most = max(1, min(_AT_ONCE, self.client.connection_pool.max_connections))
        self._slots = anyio.Semaphore(self._most, fast_acquire=True)

    async def answer(self, work: Callable[[], Awaitable[T]]) -> T | Trouble:
        """Return what the server answers to a command."""
        with self._clock.timeout(PATIENCE):
            async with self._slots:
                return await self._told(work)
        return Trouble(f"Redis at {self.place}: no answer within {PATIENCE:g} s", down=True)

    async def aclose(self) -> None:
        """Close the connections that were opened here, when the commands under way have ended."""
        if self._opened:
            # A command whose connection is closed under it opens another one, which nobody would close.
            taken = 0
            with self._clock.timeout(PATIENCE):
                while taken < self._most:
                    await self._slots.acquire()
                    taken += 1
            with self._clock.timeout(PATIENCE):
                await self._told(self.client.aclose)
            for _ in range(taken):
                self._slots.release()

    async def _told(self, work: Callable[[], Awaitable[T]]) -> T | Trouble:
        from redis import exceptions as foreign  # noqa: PLC0415 - an extra

        down = True
        try:
            return await work()
        except (foreign.AuthenticationError, foreign.AuthorizationError) as error:
            down, trouble = False, _code(error)
        except foreign.ReadOnlyError as error:
            trouble = _code(error)
            # It is a replica now, and the address may lead to another server.
            with suppress(foreign.RedisError, OSError):
                await self.client.connection_pool.disconnect(inuse_connections=False)
        except (foreign.ConnectionError, foreign.TimeoutError, OSError) as error:
            trouble = _code(error)
        except foreign.RedisError as error:
            down, trouble = isinstance(error, foreign.ClusterDownError), _code(error)
        return Trouble(f"Redis at {self.place}: {trouble}", down)


Commands = TypeVar("Commands", bound=RedisCommands)


class RedisUser(Generic[Commands]):
    """Sends commands on one event loop of one process."""

    _instead: ClassVar[str]
    """What serves under trio."""

    def __init__(self, server: Commands) -> None:
        self._server = server
        self._guard = LoopGuard()

    async def __aenter__(self) -> Self:
        self._check_loop()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse further use, and close the connections that this store opened; a client that was given stays open."""
        if not self._guard.closed:
            self._check_loop()
            self._guard.closed = True
            await run_in_child(self._server.aclose, shield=True)  # a cancelled close would leave connections open

    def _check_loop(self) -> None:
        check_asyncio(type(self).__name__, self._instead)
        self._guard.check()


def check_asyncio(user: str, instead: str) -> None:
    """Raise ConfigurationError under trio, which names what serves there."""
    if not hasattr(current_token().native_token, "create_task"):
        msg = f"{user} needs asyncio, because redis.asyncio does: use {instead} under trio"
        raise ConfigurationError(msg)


def _client_class() -> type[Redis]:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = 'this needs redis-py: pip install "tallyfy-async[redis]"'
        raise ConfigurationError(msg) from error
    return Redis


def _connected(url: Secret) -> Redis:
    """Return a client of the URL that gives up quickly; the options in the URL come first."""
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


def _accepted(client: Any) -> Redis:
    if not isinstance(client, _client_class()):
        msg = "client must be a redis.asyncio.Redis or a URL such as redis://localhost:6379/0"
        raise ConfigurationError(msg)
    return client


def _place(client: Redis) -> str:
    known: dict[str, Any] = client.connection_pool.connection_kwargs
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")


def _code(error: Exception) -> str:
    """Return the kind of a foreign error and the server's code; the rest of its text may repeat what was sent."""
    code = _CODE.match(str(error))
    return f"{type(error).__name__}{f' {code[0]}' if code else ''}"
