"""Token records on a Redis or Valkey server, shared by processes and machines; redis.asyncio, so asyncio only.

A record is a hash of two fields: the generation in the clear, by which the server compares and sets without any key,
and the sealed record. The lock is a lease: a key with a random owner value that ends by itself. Losing it does no harm,
because writes are fenced: one that advances the line needs the generation that it started from, and one that does not,
such as the mark that a refresh token is on its way, needs the very record that was read under the lock.

redis-py's own Lock is not used: an attempt of it whose answer is lost leaves a lock that shuts its own owner out.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn, SupportsIndex, TypeVar

from attrs import define, field

from tallyfy_async.auth.stores.memory import MemoryStore
from tallyfy_async.auth.stores.redis_commands import RedisUser, Trouble
from tallyfy_async.auth.stores.redis_records import RedisRecords, Stored
from tallyfy_async.auth.stores.sealing import Keys, Sealer, masked
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ConfigurationError, StoreCorruptError, StoreError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.telemetry import logger
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.shelter import run_in_child

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

_LEAST_LEASE: Final = 20.0
"""Seconds that a renewal holds the lock at the very most."""
_FIRST_POLL: Final = 0.01
_LONGEST_POLL: Final = 0.1
_REST: Final = 2.0
"""Seconds for which a server that is down is left alone where memory takes over."""
_LOST_KEPT: Final = 8
_CLOCK: Final = SystemClock()


@define(eq=False)
class _Lease:
    """A lock that is held, and the record that was seen under it."""

    owner: str
    seen: bytes | None = field(default=None, repr=False)


class RedisStore(RedisUser[RedisRecords]):
    """Keeps sealed records on a Redis or Valkey server, which processes on many machines may share.

    The server sees neither tokens nor names: records are encrypted, and keys are hashes. Give it persistence and
    ``maxmemory-policy noeviction``, or its restart costs logins. One store belongs to one event loop of one process.

    Args:
        client: a ``redis.asyncio.Redis``, which stays the caller's, or a URL such as ``rediss://user:password@host/0``,
            whose connections :meth:`aclose` or ``async with`` closes.
        keys: encrypt the records: the first seals, any opens; see Sealer.of for where they come from if not given.
        prefix: begins the names of all keys on the server.
        lease: seconds after which the lock of a process that died is free, more than the 20 that a renewal may take.
        when_down: ``refuse`` raises StoreError while the server is away, so that no refresh token is sent twice;
            ``memory`` goes on in this process, with a warning, and writes back what is newer when the server returns.
            Other processes do the same meanwhile, so use it only where a refresh token is one process's own.
        clock: time.

    Raises ConfigurationError for wrong arguments, without the extra ``redis``, and when used under trio.

    """

    _instead: ClassVar[str] = "FileStore or KeyringStore"
    _place = "a server yet to be named"  # tracebacks show a store that is half made

    def __init__(
        self,
        client: Redis | str | Secret,
        *,
        keys: Keys | Sealer | None = None,
        prefix: str = "tallyfy_async",
        lease: float = 30.0,
        when_down: Literal["refuse", "memory"] = "refuse",
        clock: Clock = _CLOCK,
    ) -> None:
        # A URL may hold a password: neither it nor a key stays in the clear in this frame or one below.
        client, keys = Secret(client) if isinstance(client, str) else client, masked(keys)
        _check(prefix, lease, when_down)
        self._sealer = Sealer.of(keys)
        super().__init__(RedisRecords(client, clock))
        self._place = self._server.place
        self._prefix, self._lease, self._clock = prefix, lease, clock
        self._leases: dict[str, _Lease] = {}
        self._lost: dict[str, list[str]] = {}
        self._falls_back = when_down == "memory"
        self._memory = MemoryStore()
        self._base: dict[str, bytes] = {}
        self._unsaved: set[str] = set()
        self._trouble: Trouble | None = None
        self._rest_until = -math.inf

    def __repr__(self) -> str:
        return f"<RedisStore {self._place}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        msg = "a RedisStore is not pickled, because it holds keys: make one in each process"
        raise TypeError(msg)

    async def load(self, key: str) -> Token | None:
        """Return the record under ``key``, None where there is none.

        Raises StoreError where the server does not answer, StoreCorruptError for what is no record of this key.
        """
        self._check_loop()
        stored = await self._ask(partial(self._server.read, self._name("token", key)))
        if isinstance(stored, Trouble):
            return await self._memory.load(key)
        if (lease := self._leases.get(key)) is not None:
            lease.seen = None if stored is None else stored.sealed
        token = None if stored is None else self._opened(key, stored)
        if stored is not None and token is not None:
            await self._remember(key, token, stored.sealed)
        return token

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        """Write ``token``, if the stored generation is ``expected``; return whether it was.

        Within :meth:`lock`, a write that keeps the generation also needs that nobody wrote since :meth:`load`.
        Raises StoreError where the server does not answer: then the write may have happened, and may be repeated.
        """
        self._check_loop()
        sealed, lease = self._sealer.seal(key, token), self._leases.get(key)
        seen = lease.seen if lease is not None and token.generation == expected else None
        name = self._name("token", key)
        written = await self._ask(partial(self._server.write, name, token.generation, sealed, expected, seen))
        if isinstance(written, Trouble):
            written = await self._memory.save(key, token, expected=expected)
            self._unsaved |= {key} if written else set()
        elif written:
            await self._remember(key, token, sealed)
            if lease is not None:
                lease.seen = sealed
        return written

    async def set_aside(self, key: str) -> str | None:
        """Rename the record of ``key`` so that the line can begin anew; return its new name, None where there is none.

        For a user who has seen a StoreCorruptError and means to log in again: what cannot be read may be the only trace
        of a refresh token that was spent. Raises StoreError where the server does not answer.
        """
        self._check_loop()
        name = self._name("token", key)
        aside = f"{name}:aside:{secrets.token_hex(4)}"
        renamed = await self._ask(partial(self._server.rename, name, aside))
        if isinstance(renamed, Trouble):
            raise StoreError(renamed.message)
        return aside if renamed else None

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        """Hold ``key``'s lock, waiting until the caller's patience ends; a cancelled wait leaves no lock behind.

        Raises StoreError where the server does not answer.
        """
        self._check_loop()
        # One of this process asks the server; the others queue here.
        async with self._memory.lock(key):
            lease = _Lease(secrets.token_hex(16))
            held = await self._acquired(key, lease.owner)
            self._leases[key] = lease
            try:
                yield
            finally:
                del self._leases[key]
                if held:
                    await run_in_child(partial(self._leave, key, lease.owner), shield=True)

    async def _acquired(self, key: str, owner: str) -> bool:
        """Wait for the lock; return False where the server is down and the queue in memory must do."""
        pause = _FIRST_POLL
        while not (taken := await self._attempt(key, owner)):
            await self._clock.sleep(pause * (0.5 + self._clock.random()))
            pause = min(2 * pause, _LONGEST_POLL)
        return taken is True

    async def _attempt(self, key: str, owner: str) -> bool | Trouble:
        lost = tuple(self._lost.get(key, ()))
        work = partial(self._server.acquire, self._name("lock", key), owner, self._lease, lost)
        try:
            # An attempt that is cut would reach the server after all, and behind the release: so it is heard out.
            taken = await run_in_child(partial(self._ask, work), shield=True)
        except StoreError:
            self._lose(key, owner)
            raise
        except BaseException:
            await run_in_child(partial(self._release, key, owner), shield=True)
            raise
        if isinstance(taken, Trouble):
            self._lose(key, owner)
        elif taken:
            self._lost.pop(key, None)
        return taken

    def _lose(self, key: str, owner: str) -> None:
        """Remember an owner value that may have the lock, as an answer was lost: the next attempt takes it over."""
        self._lost[key] = [*self._lost.get(key, ()), owner][-_LOST_KEPT:]

    async def _release(self, key: str, owner: str) -> bool | Trouble:
        released = await self._server.release(self._name("lock", key), owner)
        if isinstance(released, Trouble):
            self._lose(key, owner)
        return released

    async def _leave(self, key: str, owner: str) -> None:
        released = await self._release(key, owner)
        if isinstance(released, Trouble):
            logger.debug("a lock was not released and ends by itself: %s", released.message)
        elif not released:
            logger.warning("the lock of a token line ended before the work under it did; its late writes are refused")

    async def _ask(self, work: Callable[[], Awaitable[T | Trouble]]) -> T | Trouble:
        """Return the server's answer, or its trouble where memory takes over; raise StoreError where it must not."""
        if self._trouble is not None and self._clock.monotonic() < self._rest_until:
            return self._trouble
        trouble = await self._write_back()
        answer = await work() if trouble is None else trouble
        if not isinstance(answer, Trouble):
            self._is_back()
            return answer
        if not (answer.down and self._falls_back):
            raise StoreError(answer.message)
        self._is_away(answer)
        return answer

    def _is_away(self, trouble: Trouble) -> None:
        if self._trouble is None:
            logger.warning("%s; tokens are kept in memory until it is back", trouble.message)
        self._trouble, self._rest_until = trouble, self._clock.monotonic() + _REST

    def _is_back(self) -> None:
        if self._trouble is not None:
            logger.info("Redis at %s is back", self._place)
        self._trouble = None

    async def _remember(self, key: str, token: Token, sealed: bytes) -> None:
        """Keep what the server holds for the time when it is away."""
        if self._falls_back and key not in self._unsaved:
            held = await self._memory.load(key)
            await self._memory.save(key, token, expected=None if held is None else held.generation)
            self._base[key] = sealed

    async def _write_back(self) -> Trouble | None:
        for key in tuple(self._unsaved):
            try:
                trouble = await self._reconcile(key)
            except StoreError as error:
                logger.warning("a token that was kept in memory could not be written back: %s", error)
                self._unsaved.discard(key)
            else:
                if trouble is not None:
                    return trouble
        return None

    async def _reconcile(self, key: str) -> Trouble | None:
        ours, name = await self._memory.load(key), self._name("token", key)
        stored = await self._server.read(name)
        if isinstance(stored, Trouble):
            return stored
        if ours is not None and self._supersedes(key, ours, stored):
            expected, seen = (None, None) if stored is None else (stored.generation, stored.sealed)
            sealed = self._sealer.seal(key, ours)
            written = await self._server.write(name, ours.generation, sealed, expected, seen)
            if isinstance(written, Trouble):
                return written
            if not written:  # somebody was quicker: the next command tries again
                return None
            self._base[key] = sealed
        if await self._memory.load(key) is ours:
            self._unsaved.discard(key)
        return None

    def _supersedes(self, key: str, ours: Token, stored: Stored | None) -> bool:
        """Whether our record is newer than the server's: nobody wrote there meanwhile, or the line is further here."""
        if stored is None or stored.sealed == self._base.get(key):
            return True
        return _progress(ours) > _progress(self._opened(key, stored))

    def _opened(self, key: str, stored: Stored) -> Token:
        token = self._sealer.open(key, stored.sealed)
        if token.generation != stored.generation:
            msg = f"Redis at {self._place} holds a token record of another generation than it says"
            raise StoreCorruptError(msg)
        return token

    def _name(self, kind: str, key: str) -> str:
        return f"{self._prefix}:{kind}:{hashlib.sha256(key.encode()).hexdigest()}"


def _check(prefix: Any, lease: Any, when_down: Any) -> None:
    if not isinstance(prefix, str) or not prefix:
        msg = "prefix must be a text that is not empty"
    elif type(lease) not in {int, float} or not _LEAST_LEASE < lease < math.inf:
        msg = f"lease must be more than the {_LEAST_LEASE:g} s that a renewal may take"
    elif when_down not in {"refuse", "memory"}:
        msg = "when_down must be one of refuse, memory"
    else:
        return
    raise ConfigurationError(msg)


def _progress(token: Token) -> tuple[int, bool, bool]:
    """Return how far a record is; of one generation, the one whose refresh token is more likely spent is ahead."""
    return token.generation, token.presented, token.refresh_token is None
