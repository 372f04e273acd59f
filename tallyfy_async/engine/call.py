"""The pipeline of one call.

A call opens its deadline, takes a slot, reads the current token without waiting, and sends. Where the token is stale it
gives the slot back, awaits the manager, and takes a slot again. A failure gives the slot back before anything waits. A
401 is answered by the token manager, once a call and where the token ended on the way; everything else is judged by the
retry policy.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field, frozen

from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.token import Token
from tallyfy_async.engine.opened import Opened
from tallyfy_async.engine.pacing import clear, hold_back, learn, whose
from tallyfy_async.engine.plan import Call, Response
from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import (
    APIError,
    AuthenticationError,
    AuthError,
    IndeterminateError,
    InsufficientScopeError,
    NotFoundError,
    Outcome,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    TallyfyError,
    TransportError,
    UnverifiedEndpointWarning,
    UploadSourceError,
)
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.response import Reply, decode, failure
from tallyfy_async.protocol.scopes import allows
from tallyfy_async.protocol.verdict import Stop, may_resend
from tallyfy_async.telemetry import Hooks, logger, tell
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.exchange import Progress, Request, Timeouts, Transport
from tallyfy_async.transport.pace import Pace
from tallyfy_async.transport.shelter import LoopGuard

if TYPE_CHECKING:
    from tallyfy_async.engine.trail import Trail


@frozen(kw_only=True)
class Engine:
    """Performs calls.

    Attributes:
        transport: performs exchanges.
        limiter: slots, pauses, pace and the budget of retries.
        tokens: None for calls that need no token.
        tied_to: the organization that the tokens are for, None where unknown.
        check_scopes: whether a write that the token's scopes do not allow is refused before it is sent.
        clock: time and chance.
        guard: knows the event loop that all this belongs to.
        base_url: what the URLs of calls are relative to.
        headers: headers of every call.
        timeouts: bounds of one attempt.
        deadline: seconds for a call with its retries.
        retry: the retry policy.
        hooks: who hears of attempts.
        unverified: the inferred operations whose caller was warned; None to warn nobody.

    """

    transport: Transport
    limiter: Pace
    tokens: TokenManager | None
    tied_to: str | None = None
    check_scopes: bool = True
    clock: Clock
    guard: LoopGuard
    base_url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeouts: Timeouts
    deadline: float
    retry: RetryPolicy
    hooks: Sequence[Hooks] = ()
    unverified: set[str] | None = field(factory=set[str], repr=False)

    async def call(self, call: Call) -> Response:
        """Perform a call and return its response.

        Raises APIError and its kinds, TransportError and its kinds, AuthError and its kinds, DecodeError,
        ClientClosedError, ClientLoopError.
        """
        return await self._perform(_Flight(engine=self, call=call))

    async def open(self, call: Call) -> tuple[Response, Opened]:
        """Perform a call up to the body of its reply, which is then read piece by piece; close it in any case.

        The deadline ends with the first byte of the body. Raises what ``call`` raises.
        """
        flight = _Flight(engine=self, call=call, opens=True)
        try:
            response = await self._perform(flight)
        except BaseException:
            if flight.opened is not None:
                await flight.opened.aclose()
            raise
        if flight.opened is None:
            raise AssertionError  # pragma: no cover - a success is left open
        return response, flight.opened

    async def _perform(self, flight: _Flight) -> Response:
        self.guard.check()
        call = flight.call
        if call.operation.confidence == "inferred":
            self.warn(call.operation)
        given = call.options.deadline
        deadline = self.deadline + call.allowance if given is None else given
        flight.ends_at = self.clock.monotonic() + deadline
        if self.hooks:
            flight.follow()
        try:
            with self.clock.timeout(deadline):
                return await flight.run()
            raise flight.expired(deadline)  # noqa: TRY301 - told below, as every end is
        except BaseException as error:
            if flight.trail is not None:
                flight.trail.ended(error)
            raise

    def warn(self, operation: Operation) -> None:
        """Warn, once a client, that nobody has seen an operation documented."""
        if self.unverified is not None and operation.id not in self.unverified:
            self.unverified.add(operation.id)
            msg = f"{operation.call}: {operation.method} {operation.path} is inferred, no official document shows it"
            warnings.warn(msg, UnverifiedEndpointWarning, stacklevel=2)


def _scope_advice(token: Token, operation: Operation) -> str:
    has, needs = sorted(token.scopes or ()), sorted(operation.scopes)
    return f"the token has the scopes {', '.join(has) or 'none'}, it takes {' or '.join(needs)} (seed 000)"


def _spent(refusal: TallyfyError) -> UploadSourceError:
    msg = "the upload has to be sent again, but its stream is spent: upload again with a new one, or give path or bytes"
    return UploadSourceError(msg, retry_after=getattr(refusal, "retry_after", None), outcome=refusal.outcome)


_MOST_RENEWALS = 3
"""Of one call whose tokens end, or are replaced, on their way; one that should still be good is renewed once."""


@define(eq=False, kw_only=True)
class _Flight:
    """What changes while one call is under way."""

    engine: Engine
    call: Call
    opens: bool = False
    opened: Opened | None = None
    ends_at: float = 0.0
    attempts: int = 0
    renewals: int = 0
    progress: Progress | None = None
    last: BaseException | None = None
    started: float = 0.0
    trail: Trail | None = None

    def follow(self) -> None:
        """Begin to tell the hooks of this call."""
        from tallyfy_async.engine.trail import Trail  # noqa: PLC0415 - lazy: only where there are hooks

        self.trail = Trail.begin(self.engine.hooks, self.engine.clock, self.engine.base_url, self.call)

    async def run(self) -> Response:
        self.engine.limiter.budget.earn(self.policy.budget)
        try:
            return await self.attempt()
        except TallyfyError as error:
            return await self.go_on(error)

    @property
    def policy(self) -> RetryPolicy:
        return self.engine.retry.for_call(self.call.options.retry)

    async def go_on(self, first: TallyfyError) -> Response:
        """Retry after the first failure, or raise it; nothing is loaded or built where it ends the call."""
        policy, engine, safety = self.policy, self.engine, self.call.operation.safety
        if policy.retry is None and isinstance(policy.judge(safety, first, 1, self.remaining(), 0.0), Stop):
            self.note(first, None)
            raise first
        from tallyfy_async.engine.retry import Retrying  # noqa: PLC0415 - lazy: loads tenacity

        retrying = Retrying(policy, safety, engine.clock, engine.limiter.budget, self.remaining, self.note)
        return await retrying.go_on(self.attempt, first)

    def remaining(self) -> float:
        return self.ends_at - self.engine.clock.monotonic()

    async def attempt(self) -> Response:
        """Send; where that may be repeated but the body cannot be, tell so."""
        try:
            return await self.attempt_once()
        except TallyfyError as error:
            body = self.call.streamed
            if body is not None and body.spent and may_resend(self.call.operation.safety, error):
                raise _spent(error) from error
            raise

    async def attempt_once(self) -> Response:
        """Send once, and again where the reply was a 401 that a new token may mend."""
        reply, token = await self.exchange(None)
        while reply.status == 401 and token is not None and (newer := await self.answer_401(token, reply)) is not None:
            reply, token = await self.exchange(newer)
        if not 200 <= reply.status < 300:
            error = self.refused(reply)
            if token is not None:
                self.explain(error, token)
            if isinstance(error, AuthenticationError) and self.engine.tokens is not None:
                tell(self.engine.hooks, "on_auth_failure", error)
                if advice := self.engine.tokens.advice:
                    error.add_note(advice)
            raise error
        response = Response(reply=reply, payload=decode(reply), attempts=self.attempts)
        self.tell(reply.status, None, None, reply.request_id)
        return response

    async def answer_401(self, token: Token, reply: Reply) -> Token | None:
        """Return the token to send instead, None where another one will not help."""
        tokens = self.engine.tokens
        if tokens is None or self.renewals == _MOST_RENEWALS:
            return None
        if self.renewals and not tokens.outlived(token):
            tokens.futile()
            return None
        self.renewals += 1
        refusal = self.refused(reply)
        self.note(refusal, 0.0)
        try:
            newer = await tokens.rejected(token)
        except AuthError as error:
            error.outcome = Outcome.REFUSED
            raise error from refusal
        body = self.call.streamed
        if newer is not None and body is not None and body.spent:
            raise _spent(refusal) from refusal
        return newer

    async def exchange(self, token: Token | None) -> tuple[Reply, Token | None]:
        """Send with ``token``, or else with the current one, which may have to be awaited without a slot."""
        engine, call = self.engine, self.call
        while True:
            clear(engine.limiter, call, engine.tokens, self, claim=False)  # it needs no slot and no turn to know
            await engine.limiter.acquire(whose(engine.tokens), call.organization)
            try:
                current = None if engine.tokens is None else (engine.tokens.peek() or token)
                if engine.tokens is None or current is not None:
                    if current is not None and engine.check_scopes:
                        self.check_scopes(current)
                    return await self.send(current), current
            finally:
                if self.opened is None:
                    engine.limiter.release()
            token = await engine.tokens.get()

    async def send(self, token: Token | None) -> Reply:
        engine, call = self.engine, self.call
        request = self.request(token)
        watched = call.operation.safety is not Safety.SAFE
        self.progress = Progress() if watched else None
        clear(engine.limiter, call, engine.tokens, self, claim=True)
        self.started = engine.clock.monotonic()
        self.attempts += 1
        if self.trail is not None:
            request = self.trail.sent(self.attempts, request)
        try:
            if self.opens:
                reply = await self.open(request)
            else:
                reply = await engine.transport.exchange(request, self.progress)
        except TransportError as error:
            if call.operation.safety is Safety.WRITE and error.outcome is Outcome.UNKNOWN:
                raise self.indeterminate(str(error)) from error
            raise
        self.progress = None
        learn(engine.limiter, call, engine.tokens, reply, self.started, whole=not self.opens)
        return reply

    async def open(self, request: Request) -> Reply:
        reply, incoming = await self.engine.transport.open(request)
        if incoming is not None:
            self.opened = Opened.park(incoming, self.engine.limiter)
        return reply

    def request(self, token: Token | None) -> Request:
        engine, call = self.engine, self.call
        timeout = call.options.timeout
        timeouts = engine.timeouts if timeout is None else timeout
        if not isinstance(timeouts, Timeouts):
            timeouts = evolve(engine.timeouts, attempt=timeouts)
        stall = None
        if call.streamed is not None:
            stall = timeouts.attempt
            timeouts = evolve(timeouts, attempt=timeouts.attempt + call.allowance)
        headers = engine.headers + call.headers
        if call.content_type is not None:
            headers += (("Content-Type", call.content_type),)
        if token is not None:
            headers += (("Authorization", f"Bearer {token.access_token.reveal()}"),)
        return Request(
            method=call.operation.method,
            url=engine.base_url + call.url,
            headers=headers,
            content=call.content,
            timeouts=timeouts,
            stall=stall,
            max_bytes=call.max_bytes,
        )

    def refused(self, reply: Reply) -> APIError:
        operation, engine = self.call.operation, self.engine
        error = failure(operation.method, operation.path, reply, engine.clock.time())
        if isinstance(error, RateLimitError):
            hold_back(engine.limiter, engine.retry, self.call, engine.tokens, error, reply, self.started, self.attempts)
        if isinstance(error, NotFoundError) and self.call.organization:
            error.add_note(f"Looked for in organization {self.call.organization}.")
        return error

    def check_scopes(self, token: Token) -> None:
        """Refuse a write whose capability the token's scopes do not name; reads are left to the server (seed 000)."""
        operation = self.call.operation
        if operation.safety is Safety.WRITE and not allows(token.scopes, operation.scopes):
            msg = f"{operation.method} {operation.path}: {_scope_advice(token, operation)}; nothing was sent"
            error = InsufficientScopeError(msg)
            tell(self.engine.hooks, "on_auth_failure", error)
            raise error

    def explain(self, error: APIError, token: Token) -> None:
        """Add to a refusal what our side knows of its cause: another organization's token, or scopes that lack."""
        theirs, ours = self.call.organization, self.engine.tied_to
        refused = isinstance(error, PermissionDeniedError)
        if theirs and ours and theirs != ours and (refused or isinstance(error, NotFoundError | AuthenticationError)):
            error.add_note(
                f"The credential is set up for organization {ours}, the call went to {theirs}. A token is tied to one "
                f"organization: give {theirs} a credential of its own with organizations={{…}} (seed 002)."
            )
        operation = self.call.operation
        if refused and token.scopes is not None and not allows(token.scopes, operation.scopes):
            error.add_note(f"A scope may be missing: {_scope_advice(token, operation)}.")

    def indeterminate(self, why: str) -> IndeterminateError:
        operation = self.call.operation
        msg = f"{operation.method} {operation.path} may have landed: {why}. Read back before sending it again"
        return IndeterminateError(msg)

    def expired(self, deadline: float) -> TransportError:
        """Return the error for a call whose deadline ended."""
        operation = self.call.operation
        sent = self.progress is not None and self.progress.may_have_landed
        if operation.safety is Safety.WRITE and sent:
            error: TransportError = self.indeterminate(f"its deadline of {deadline:g} s ended while it was on its way")
        else:
            msg = f"{operation.method} {operation.path}: not done within its deadline of {deadline:g} s"
            outcome = Outcome.UNKNOWN if sent or operation.safety is Safety.SAFE else Outcome.NOT_SENT
            error = RequestTimeoutError(msg, outcome=outcome)
        error.__cause__ = self.last
        return error

    def note(self, error: BaseException, retry_in: float | None) -> None:
        self.last = error
        error = (isinstance(error, UploadSourceError) and error.__cause__) or error  # what the server said tells more
        sent = getattr(error, "outcome", None) is not Outcome.NOT_SENT
        if retry_in:
            operation = self.call.operation
            values = (operation.id, self.attempts, error, retry_in)
            logger.info("%s: attempt %d failed (%s), next in %.2f s", *values, extra=self.fields(error, retry_in))
        if not sent and isinstance(error, RateLimitError):
            return  # it was refused on our side: that is no attempt
        status, request_id = (getattr(error, name, None) if sent else None for name in ("status", "request_id"))
        self.tell(status, error, retry_in, request_id)

    def fields(self, error: BaseException, retry_in: float) -> dict[str, Any]:
        """Return what a log record of a failed attempt carries beside its text."""
        status, request_id = (getattr(error, name, None) for name in ("status", "request_id"))
        known = {"operation": self.call.operation.id, "attempt": self.attempts}
        return {**known, "status": status, "request_id": request_id, "retry_in": retry_in}

    def tell(
        self, status: int | None, error: BaseException | None, retry_in: float | None, request: str | None
    ) -> None:
        if self.trail is not None:
            self.trail.told(self.attempts, status, error, retry_in, request)
