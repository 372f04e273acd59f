"""One renewal of a token: what is read, sent and written while the store's lock is held.

A refresh token is traded in at most once. Before it is sent, the record in the store is marked as presented; the mark
goes when an answer came, whatever it was. A record that is found marked belongs to somebody who died or lost the
answer: its refresh token may be spent, so it is not sent, unless the grant says that replays are allowed.
"""

from __future__ import annotations

from typing import Protocol

import anyio
from attrs import define, evolve, frozen

from tallyfy_async.auth.oauth_client import Grant, TokenRequest
from tallyfy_async.auth.reply import DeadRefreshTokenError, UnreadableTokenReplyError, read_token, refusal
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.auth.token import Token, hold
from tallyfy_async.errors import (
    AmbiguousRefreshError,
    APIError,
    AuthError,
    DecodeError,
    Outcome,
    PersonalTokenRevokedError,
    ReauthenticationRequiredError,
    StoreError,
    StoreLockTimeoutError,
    TallyfyError,
    TokenRequestError,
    TransportError,
)
from tallyfy_async.protocol.response import Reply
from tallyfy_async.telemetry import logger
from tallyfy_async.transport.clock import Clock

_SAVE_TIMEOUT = 5.0
# Less of the time limit than this is too little to hear the answer of a request that spends a refresh token.
_LEAST_SHARE = 0.1

_SPENT = (
    "the answer to a token request was lost: its refresh token or code may be spent and is not sent again. "
    "Log in again, or set replay_refresh=True where the server grants a grace time"
)
_TOO_LATE = "the token store took too long to ask for a token within the time limit; nothing was sent"
_OVERTAKEN = "the stored token changed while its lock was held; nothing was sent: call again"
_REPLACED = "the stored token was replaced while a new one was asked for, and needs a renewal itself: call again"
_DEAD = "the refresh token or code is dead: log in again"
_LOGGED_OUT = "the login was ended (tokens.forget, here or in another process): log in again"
_ABSENT = "the token store holds no token of this login: log in again"
_GONE = (
    "the token store has lost the record of this login, so its refresh token may be spent and is not sent: log in again"
)
_EXPIRED = (
    "the token has ended and the implicit flow gives no refresh token: send the user through the authorization page "
    "again, or use AuthorizationCode, which can renew its tokens"
)
_REVOKED = (
    "the personal access token was refused: it expired, or its user logged out of Tallyfy, which ends it. "
    "Get a new one in Tallyfy under Settings > Integrations > REST API"
)


class TokenExchange(Protocol):
    """Sends one token request, with retries where they are harmless, within ``deadline`` seconds."""

    async def __call__(self, request: TokenRequest, deadline: float) -> Reply:
        """Return the reply of the last attempt; raise APIError for an error status, TransportError for none."""
        ...


@frozen
class Renewed:
    """The end of a renewal.

    Attributes:
        token: the record to use.
        asked: whether it was asked for; False where it was found in the store or is the grant's own.
        written: whether the store has it.

    """

    token: Token
    asked: bool
    written: bool = True


@frozen
class _Refused:
    """What is no good any more: everything up to a generation, but not a sibling's token of the same number."""

    generation: int
    ours: Token | None

    def includes(self, record: Token) -> bool:
        if record.generation != self.generation or self.ours is None:
            return record.generation <= self.generation
        return record.access_token == self.ours.access_token


@define
class Renewal:
    """Renews the tokens of one line.

    Attributes:
        grant: the way to a token.
        exchange: sends token requests.
        store: where the record lives.
        key: the line's name in the store.
        clock: time.
        leeway: seconds before its end from which on a token counts as stale.
        timeout: seconds for the store's lock and the token request together.
        requests: token requests sent so far.
        seen: the record that the last renewal began with.
        unwritten: a token that the server gave and the store did not take yet.
        unspent: a record that we marked and whose refresh token was not spent, until the store has it without the mark.
        recorded: whether the store has held a record of this line.

    """

    grant: Grant
    exchange: TokenExchange
    store: TokenStore
    key: str
    clock: Clock
    leeway: float
    timeout: float
    requests: int = 0
    seen: Token | None = None
    unwritten: Token | None = None
    unspent: Token | None = None
    recorded: bool = False

    @property
    def limit(self) -> float:
        """Seconds that a renewal takes at the very most, the write to the store included."""
        return self.timeout + 2 * _SAVE_TIMEOUT

    async def obtain(self, ours: Token | None, rejected: int | None) -> Renewed:
        """Return a token that is fresh and, where given, newer than generation ``rejected``, which is ours.

        Raises AuthError and its kinds, StoreError and its kinds.
        """
        deadline = self.clock.monotonic() + self.timeout
        with self.clock.timeout(self.limit):
            async with self.store.lock(self.key):
                stored = await self._mended(await self.store.load(self.key))
                self.recorded |= stored is not None
                if stored is None and ours is not None and (ours.generation or self.recorded):
                    # Somebody emptied the store. Since then a sibling may have traded our refresh token in.
                    ours = evolve(ours, refresh_token=None)
                refused = None if rejected is None else _Refused(rejected, ours)
                return await self._renew(stored, _newest(stored, ours), refused, deadline)
        raise self._no_answer()

    async def replace(self, token: Token | None, known: int) -> Token:
        """Put a token of another login, or with None a tombstone, in the place of whatever the line holds.

        Its generation is above the stored one and ``known``. It does not wait for a renewal that is under way, here or
        elsewhere: that one finds itself overtaken.
        Raises StoreError and its kinds.
        """
        with self.clock.timeout(_SAVE_TIMEOUT):
            while True:
                stored = await self.store.load(self.key)
                number = max(known, 0 if stored is None else stored.generation) + 1
                following = Token.tombstone(generation=number, at=self.clock.time())
                if token is not None:
                    following = evolve(token, generation=number, presented=False)
                if await self.store.save(self.key, following, expected=None if stored is None else stored.generation):
                    self.seen, self.unwritten = following, None
                    return following
        raise self._no_answer()

    async def write(self) -> bool:
        """Try again to write the token that the store did not take; return whether the store is up to date."""
        if self.unwritten is not None:
            try:
                with self.clock.timeout(_SAVE_TIMEOUT):
                    await self._mended(await self.store.load(self.key))
            except StoreError as error:
                logger.warning("the new token is still not in the store: %s", error)
        return self.unwritten is None

    async def _mended(self, stored: Token | None) -> Token | None:
        """Write the token that the store did not take earlier; return what the store holds now."""
        late = self.unwritten
        if late is None:
            return stored
        if stored is None or stored.generation < late.generation:
            if await self.store.save(self.key, late, expected=None if stored is None else stored.generation):
                stored = late
            else:
                stored = await self.store.load(self.key)
        if stored is not None and stored.generation >= late.generation:
            self.unwritten = None
        return stored

    def _no_answer(self) -> StoreLockTimeoutError:
        return StoreLockTimeoutError(f"the token store did not answer within {self.limit:g} s")

    async def _renew(
        self, stored: Token | None, known: Token | None, refused: _Refused | None, deadline: float
    ) -> Renewed:
        if known is not None and self.unspent is not None and known == self.unspent.mark(presented=True):
            known = self.unspent  # the mark is ours, and we know better
        self.seen = record = known or self.grant.ready(self.clock.time())
        if record is not None and not (refused and refused.includes(record)) and self._is_fresh(record):
            return Renewed(record, asked=False, written=self.unwritten is None)
        self._check_time(deadline)
        expected = None if stored is None else stored.generation
        if record is not None and (request := self.grant.refresh(record)) is not None:
            renewed = await self._refresh(record, request, expected, deadline)
            if renewed is not None:
                return renewed
            expected = record.generation
        request = self.grant.first()
        if request is None:
            raise self._dead_end(record, gone=stored is None)
        return await self._keep(await self._send(request, record, deadline), expected)

    def _is_late(self, deadline: float) -> bool:
        return deadline - self.clock.monotonic() < self.timeout * _LEAST_SHARE

    def _check_time(self, deadline: float) -> None:
        if self._is_late(deadline):
            raise StoreLockTimeoutError(_TOO_LATE)

    def _is_fresh(self, record: Token) -> bool:
        """Whether a record can be used instead of asking for a new token."""
        monotonic, wall = self.clock.monotonic(), self.clock.time()
        return hold(record, monotonic=monotonic, wall=wall, leeway=self.leeway).fresh(monotonic, wall)

    async def _refresh(
        self, record: Token, request: TokenRequest, expected: int | None, deadline: float
    ) -> Renewed | None:
        """Trade the refresh token in; None where it is spent or dead and the grant can start anew."""
        if record.presented and not self.grant.replays:
            self._start_anew(AmbiguousRefreshError(_SPENT))
            return None
        if not await self.store.save(self.key, _on_its_way(record), expected=expected):
            return await self._overtaken(record)
        self.recorded = True
        try:
            token = await self._present(record, request, deadline)
        except DeadRefreshTokenError as error:
            return await self._after_dead(record, error)
        except (AmbiguousRefreshError, UnreadableTokenReplyError) as error:
            self._start_anew(error)
            return None
        return await self._keep(token, record.generation)

    async def _present(self, record: Token, request: TokenRequest, deadline: float) -> Token:
        """Send the refresh token, once more where replays are allowed and the first answer was lost."""
        try:
            return await self._trade(record, request, deadline)
        except (AmbiguousRefreshError, UnreadableTokenReplyError):
            if record.presented or not self.grant.replays or self._is_late(deadline):
                raise
        again = record.mark(presented=True)
        await self.store.save(self.key, _on_its_way(again), expected=record.generation)
        return await self._trade(again, request, deadline)

    async def _trade(self, record: Token, request: TokenRequest, deadline: float) -> Token:
        """Send the refresh token; where it surely was not spent, the record is written back as it was."""
        try:
            self._check_time(deadline)  # again: the store may have been slow to write the mark
            return await self._send(request, record, deadline)
        except (AmbiguousRefreshError, DeadRefreshTokenError, UnreadableTokenReplyError):
            raise
        except TallyfyError:
            self.unspent = record
            await self.store.save(self.key, record, expected=record.generation)
            self.unspent = None
            raise

    def _start_anew(self, error: AuthError) -> None:
        """Go on to the grant's first request; raise AmbiguousRefreshError where it has none."""
        if self.grant.first() is not None:
            logger.warning("the answer to a token refresh was lost; a new token is asked for instead")
        elif isinstance(error, AmbiguousRefreshError):
            raise error
        else:
            raise AmbiguousRefreshError(_SPENT, outcome=Outcome.UNKNOWN) from error

    async def _after_dead(self, record: Token, error: DeadRefreshTokenError) -> Renewed | None:
        """Adopt the record of a sibling who rotated the token without our lock; else bury the token and start anew."""
        adopted = await self._adopted(record)
        if adopted is not None:
            return adopted
        tombstone = evolve(record, refresh_token=None, presented=False)
        await self.store.save(self.key, tombstone, expected=record.generation)
        if self.grant.first() is not None:
            return None
        raise ReauthenticationRequiredError(_DEAD) from error

    async def _overtaken(self, record: Token) -> Renewed:
        """Adopt the record of a sibling who wrote it without our lock, before anything is sent; raise StoreError."""
        adopted = await self._adopted(record)
        if adopted is None:
            raise StoreError(_OVERTAKEN)
        return adopted

    async def _adopted(self, record: Token) -> Renewed | None:
        stored = await self.store.load(self.key)
        newer = stored is not None and stored.generation > record.generation
        return Renewed(stored, asked=False) if stored is not None and newer and self._is_fresh(stored) else None

    def _dead_end(self, record: Token | None, *, gone: bool) -> AuthError:
        if record is not None and record.presented:
            return AmbiguousRefreshError(_SPENT)
        if record is not None and record.ended:
            return ReauthenticationRequiredError(_LOGGED_OUT)
        if self.grant.name == "personal":
            return PersonalTokenRevokedError(_REVOKED)
        if self.grant.name == "implicit":
            return ReauthenticationRequiredError(_EXPIRED)
        if record is None:
            return ReauthenticationRequiredError(_ABSENT)
        return ReauthenticationRequiredError(_GONE if gone else _DEAD)

    async def _send(self, request: TokenRequest, old: Token | None, deadline: float) -> Token:
        self.requests += 1
        answer = await self._exchanged(request, deadline)
        if isinstance(
            answer, APIError
        ):  # raised here, so that its body, which may echo the request, is not its context
            raise refusal(answer, request)
        token = read_token(answer).follow(old, request, sent_at=self.clock.time() - answer.elapsed)
        _warn_of_lost_scopes(old, token)
        return token

    async def _exchanged(self, request: TokenRequest, deadline: float) -> Reply | APIError:
        try:
            return await self.exchange(request, deadline - self.clock.monotonic())
        except APIError as error:
            return error.with_traceback(None)
        except (TransportError, DecodeError) as error:
            if request.spends and error.outcome is not Outcome.NOT_SENT:
                raise AmbiguousRefreshError(_SPENT, outcome=Outcome.UNKNOWN) from error
            msg = f"no usable answer from the token endpoint: {error}"
            raise TokenRequestError(msg, outcome=error.outcome) from error

    async def _keep(self, token: Token, expected: int | None) -> Renewed:
        """Write a token that the server gave; it is used even where it cannot be written."""
        self.unwritten = token
        try:
            with anyio.CancelScope(shield=True), self.clock.timeout(_SAVE_TIMEOUT):
                if await self.store.save(self.key, token, expected=expected):
                    self.unwritten = None
                else:
                    return await self._outrun(token)
        except StoreError as error:
            logger.warning("writing the new token to the store failed: %s", error)
        if self.unwritten is not None:
            logger.warning("the token store did not take the new token, which lives in memory until it does")
        return Renewed(token, asked=True, written=self.unwritten is None)

    async def _outrun(self, token: Token) -> Renewed:
        """Decide between a new token and the record that somebody wrote meanwhile: theirs, unless it is older."""
        stored = await self._mended(await self.store.load(self.key))
        if stored is token or stored is None or stored.generation < token.generation:
            return Renewed(token, asked=True, written=stored is token)
        self.unwritten = None
        self.seen = stored
        if stored.ended:
            raise ReauthenticationRequiredError(_LOGGED_OUT)
        if not self._is_fresh(stored):
            raise StoreError(_REPLACED)
        return Renewed(stored, asked=False)


def _on_its_way(record: Token) -> Token:
    """Return what the store holds while the refresh token is sent: marked, and at its second sending without it."""
    return evolve(record, refresh_token=None) if record.presented else record.mark(presented=True)


def _newest(stored: Token | None, ours: Token | None) -> Token | None:
    if stored is None or (ours is not None and ours.generation > stored.generation):
        return ours
    return stored


def _warn_of_lost_scopes(old: Token | None, new: Token) -> None:
    had, has = (old.scopes if old is not None else None) or frozenset(), new.scopes or frozenset()
    if had - has and "*" not in has:
        logger.warning("the new token no longer has the scopes %s", ", ".join(sorted(had - has)))
