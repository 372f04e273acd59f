"""The token manager: hands out a valid token, with one renewal however many wait for it.

Whoever finds the token stale takes the lock and looks again. Then the renewal runs in a shielded child task, so that a
cancelled caller cannot lose a token that the server has already rotated. Everybody who waited meanwhile takes that
outcome, a token or an error, instead of trying again. Hooks run when the lock is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import anyio
from attrs import define, evolve, field, frozen

from tallyfy_async.auth.oauth_client import Grant
from tallyfy_async.auth.renewal import Renewal, Renewed, TokenExchange
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.auth.token import Held, Token, hold
from tallyfy_async.errors import (
    AuthError,
    ClientClosedError,
    ReauthenticationRequiredError,
    TallyfyError,
    TokenRequestError,
)
from tallyfy_async.telemetry import Hooks, TokenRecord, complain, logger, tell
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.shelter import LoopGuard, run_in_child

_ADVISORY_PAUSE = 5.0
_FUTILE_PAUSE = 30.0
_LONGEST_BLOCK = 300.0
_WRITE_AGAIN_AFTER = 5.0
_USER_NEEDED = (
    "an application token has no user, and most operations need one: use the password grant (PasswordGrant) or, to act "
    "for a member, OnBehalfOf"
)


@frozen(kw_only=True)
class TokenStatistics:
    """What a manager has done so far.

    Attributes:
        requests: token requests made; retries within one are not counted.
        tokens: tokens got by them.
        adopted: tokens found in the store, got by another manager.
        failures: renewals that ended with an error.
        rejections: replies of 401 to calls that carried a token of this manager.
        unpersisted: whether the token in use could not be written to the store.

    """

    requests: int
    tokens: int
    adopted: int
    failures: int
    rejections: int
    unpersisted: bool


@define(eq=False)
class TokenManager:
    """Keeps one line of tokens alive.

    Attributes:
        grant: the way to a token.
        clock: time.
        hooks: who hears of new tokens and of failures.
        leeway: seconds before its end from which on a token is renewed, at most a tenth of its life.
        refresh_timeout: seconds that the store's lock and the token request may take together.
        guard: knows the event loop and the process that the manager belongs to.

    """

    grant: Grant
    clock: Clock
    hooks: Sequence[Hooks]
    leeway: float
    refresh_timeout: float
    guard: LoopGuard
    _renewal: Renewal
    _lock: anyio.Lock = field(factory=partial(anyio.Lock, fast_acquire=True), init=False)
    _replacing: anyio.Lock = field(factory=anyio.Lock, init=False)
    _held: Held | None = field(default=None, init=False)
    _landed: int = field(default=0, init=False)
    _failure: TallyfyError | None = field(default=None, init=False)
    _patient_until: float = field(default=float("-inf"), init=False)
    _blocked_until: float = field(default=float("-inf"), init=False)
    _futile_until: float = field(default=float("-inf"), init=False)
    _news: TokenRecord | None = field(default=None, init=False)
    _telling: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    _tokens: int = field(default=0, init=False)
    _adopted: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _rejections: int = field(default=0, init=False)
    _replaced: int = field(default=0, init=False)
    _fresh_until: float = field(default=float("-inf"), init=False)

    @classmethod
    def create(
        cls,
        grant: Grant,
        exchange: TokenExchange,
        store: TokenStore,
        key: str,
        clock: Clock,
        *,
        hooks: Sequence[Hooks] = (),
        leeway: float = 60.0,
        refresh_timeout: float = 10.0,
        guard: LoopGuard | None = None,
    ) -> TokenManager:
        """Return a manager of the line ``key`` in ``store`` that sends its requests through ``exchange``."""
        leeway = leeway if grant.renewable else 0.0
        renewal = Renewal(grant, exchange, store, key, clock, leeway, refresh_timeout)
        return cls(grant, clock, hooks, leeway, refresh_timeout, guard or LoopGuard(), renewal)

    def __repr__(self) -> str:
        state = "no token yet"
        if self._closed:
            state = "closed"
        elif self._held is not None:
            fresh = self._held.fresh(self.clock.monotonic(), self.clock.time())
            state = f"generation {self._held.token.generation}, {'fresh' if fresh else 'stale'}"
        return f"<TokenManager {self.grant.name}: {state}>"

    @property
    def statistics(self) -> TokenStatistics:
        """What this manager has done so far."""
        return TokenStatistics(
            requests=self._renewal.requests,
            tokens=self._tokens,
            adopted=self._adopted,
            failures=self._failures,
            rejections=self._rejections,
            unpersisted=self._renewal.unwritten is not None,
        )

    @property
    def key(self) -> str:
        """The name of the line in the store, such as ``FileStore.set_aside`` takes; it holds no secret."""
        return self._renewal.key

    @property
    def advice(self) -> str | None:
        """What to try where the server refuses a good token, None where there is nothing to say (seed 002)."""
        return _USER_NEEDED if self.grant.name == "client_credentials" else None

    def peek(self) -> Token | None:
        """Return the token if it can be used as it is; None tells the caller to await :meth:`get`."""
        held, clock = self._held, self.clock
        if held is None or self._closed:
            return None
        # Spelled out, because every call comes through here.
        if clock.monotonic() < held.fresh_until and clock.time() < held.fresh_until_wall:
            return held.token
        others_may_go_on = self._lock.locked() or clock.monotonic() < self._patient_until
        return held.token if others_may_go_on and held.usable(clock.monotonic(), clock.time()) else None

    async def get(self) -> Token:
        """Return a valid token, renewing it where needed.

        Raises AuthError and its kinds, StoreError and its kinds, ClientClosedError.
        """
        return self.peek() or await self._renew(None)

    async def refresh(self, *, if_generation: int | None = None) -> Token:
        """Renew the token although it looks valid; return the new one.

        With ``if_generation`` it is renewed only while it is still that one; a newer token is returned as it is.
        Raises what :meth:`get` raises.
        """
        current = self._held.token.generation if self._held is not None else 0
        if if_generation is not None and current > if_generation:
            return await self.get()
        return await self._renew(current)

    async def rejected(self, token: Token) -> Token | None:
        """Return the token to send instead of one that the server refused with 401.

        None means that a renewal just now did not help either, so that the refusal has another cause.
        Raises PersonalTokenRevokedError where nothing can be renewed, and what :meth:`get` raises.
        """
        self._rejections += 1
        if self._held is not None and self._held.token.access_token != token.access_token:
            return await self.get()
        if self.clock.monotonic() < self._futile_until:
            return None
        return await self.refresh(if_generation=token.generation)

    def outlived(self, token: Token) -> bool:
        """Whether a token was replaced, or is due to be: its refusal tells nothing of the next one.

        A refresh ends the access token that it replaces, also for the calls that it is under way with. A token that
        was born ended is no such case: the next one would be, too.
        """
        held = self._held
        if held is None or held.token.access_token != token.access_token:
            return True
        return token.lifetime != 0 and not held.fresh(self.clock.monotonic(), self.clock.time())

    def futile(self) -> None:
        """Note that a token was refused right after its renewal: a 401 brings no further renewal for a while."""
        self._futile_until = self.clock.monotonic() + _FUTILE_PAUSE

    async def adopt(self, token: Token) -> Token:
        """Put the token of another login in the place of this line's, in the store too; return it as it was stored.

        A renewal that is under way does not overwrite it: its result is dropped. Raises StoreError and its kinds,
        ClientClosedError, ClientLoopError.
        """
        return await self._replace(token)

    async def forget(self) -> None:
        """End this line, in the store too: nobody who shares the store can renew its tokens any more.

        Other managers go on with the access token that they have in memory, until it ends. A renewal that is under way
        does not bring it back. A grant that can log in by itself does so at the next call; every other raises
        ReauthenticationRequiredError. The server is not told: Tallyfy documents no revocation. Raises what
        :meth:`adopt` raises.
        """
        await self._replace(None)

    async def _replace(self, token: Token | None) -> Token:
        async with self._replacing:
            self._check_open()
            return await run_in_child(partial(self._put, token), shield=True)

    async def _put(self, token: Token | None) -> Token:
        known = 0 if self._held is None else self._held.token.generation
        stored = await self._renewal.replace(token, known)
        self._replaced += 1
        self._held = None
        if token is not None:
            self._hold(stored)
        return stored

    async def aclose(self) -> None:
        """Let what is under way end and be stored, within its own time limit; refuse everything else."""
        self._closed = True
        with self.clock.timeout(self._renewal.limit):
            async with self._replacing, self._lock:
                await self._renewal.write()

    async def _renew(self, rejected: int | None) -> Token:
        arrived = self._landed
        try:
            async with self._lock:
                if self._landed != arrived and self._settles(rejected):
                    return self._outcome()
                return await self._lead(rejected)
        finally:
            await self._announce()

    def _settles(self, rejected: int | None) -> bool:
        """Whether the renewal that ended while we waited answers us too."""
        if self._failure is not None:
            return True
        return self._held is not None and (rejected is None or self._held.token.generation > rejected)

    def _outcome(self) -> Token:
        if self._failure is not None:
            raise self._failure.twin()
        assert self._held is not None  # noqa: S101 - _settles has looked
        return self._held.token

    async def _lead(self, rejected: int | None) -> Token:
        self._check_open()
        return await run_in_child(partial(self._fly, rejected), shield=True)

    def _check_open(self) -> None:
        if self._closed:
            msg = "the client is closed"
            raise ClientClosedError(msg)
        self.guard.check()

    async def _fly(self, rejected: int | None) -> Token:
        """Renew and publish, whoever is still there to see it."""
        self._failure = None
        replaced = self._replaced
        try:
            self._check_blocked()
            ours = None if self._held is None else self._held.token
            renewed = await self._renewal.obtain(ours, self._stale(rejected))
        except Exception as error:
            if replaced == self._replaced and (token := self._usable_still(rejected)) is not None:
                self._failed(error)
                self._patient_until = self.clock.monotonic() + _ADVISORY_PAUSE
                logger.warning("the token could not be renewed early and stays in use: %s", error)
                return token
            self._failed(error)
            self._failure = error.twin() if isinstance(error, TallyfyError) else AuthError(_unforeseen(error))
            raise
        finally:
            self._landed += 1
        return self._publish(renewed) if replaced == self._replaced else self._replacement()

    def _stale(self, rejected: int | None) -> int | None:
        """Return the generation that a renewal has to go beyond."""
        if rejected is not None or self._held is None:
            return rejected
        if self._renewal.unwritten is not None and self.clock.monotonic() < self._fresh_until:
            return None  # the token is good, only the store does not have it yet
        # What we hold is stale by our clocks, whatever its record says to a wall clock that has jumped.
        return self._held.token.generation

    def _replacement(self) -> Token:
        """Return what was adopted while a renewal was under way, whose own result is dropped."""
        if self._held is None:
            msg = "the login was ended while its token was renewed: log in again"
            raise ReauthenticationRequiredError(msg)
        return self._held.token

    def _check_blocked(self) -> None:
        rest = self._blocked_until - self.clock.monotonic()
        if rest > 0:
            msg = f"the token endpoint asked to wait: a token request makes sense again in {rest:.0f} s"
            raise TokenRequestError(msg, status=429, retry_after=rest)

    def _usable_still(self, rejected: int | None) -> Token | None:
        """Return the token that can go on without the renewal, be it one that was only read from the store."""
        if rejected is not None:
            return None
        seen, held = self._renewal.seen, self._held
        if seen is not None and (held is None or seen.generation > held.token.generation):
            held = self._hold(seen)
        return held.token if held is not None and held.usable(self.clock.monotonic(), self.clock.time()) else None

    def _hold(self, token: Token) -> Held:
        monotonic = self.clock.monotonic()
        held = hold(token, monotonic=monotonic, wall=self.clock.time(), leeway=self.leeway)
        self._fresh_until = held.fresh_until
        if self._renewal.unwritten is not None:
            held = evolve(held, fresh_until=min(held.fresh_until, monotonic + _WRITE_AGAIN_AFTER))
        self._held = held
        return held

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, TokenRequestError) and error.retry_after:
            self._blocked_until = self.clock.monotonic() + min(error.retry_after, _LONGEST_BLOCK)
        tell(self.hooks, "on_auth_failure", error)

    def _publish(self, renewed: Renewed) -> Token:
        token = renewed.token
        known = self._held is not None and self._held.token is token
        self._hold(token)
        if known:
            return token
        self._tokens += renewed.asked
        self._adopted += not renewed.asked and self.grant.name != "personal"
        self._news = TokenRecord(
            grant=self.grant.name, generation=token.generation, lifetime=token.lifetime, adopted=not renewed.asked
        )
        return token

    async def _announce(self) -> None:
        """Tell the hooks of a new token, once, although the caller may be cancelled; a hook may come back here."""
        if self._news is None or self._telling:
            return
        news, self._news = self._news, None
        if self.hooks:
            self._telling = True
            try:
                await run_in_child(partial(self._tell, news), shield=True)
            finally:
                self._telling = False

    async def _tell(self, news: TokenRecord) -> None:
        with self.clock.timeout(self.refresh_timeout):
            for hook in self.hooks:
                try:
                    await hook.on_token(news)
                except Exception:  # noqa: BLE001 - a hook must not break the call it watches
                    complain("on_token", hook)


def _unforeseen(error: Exception) -> str:
    return f"the token could not be renewed: {type(error).__name__}"
