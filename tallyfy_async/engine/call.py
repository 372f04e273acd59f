"""The pipeline of one call.

A call opens its deadline, takes a slot, reads the current token without waiting, and sends. Where the token is stale it
gives the slot back, awaits the manager, and takes a slot again. A failure gives the slot back before anything waits. A
401 is answered by the token manager, once a call; everything else is judged by the retry policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from attrs import define, evolve, field, frozen

from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.token import Token
from tallyfy_async.engine.retry import Retrying, RetryPolicy
from tallyfy_async.errors import (
    APIError,
    AuthenticationError,
    AuthError,
    ConfigurationError,
    IndeterminateError,
    NotFoundError,
    Outcome,
    RequestTimeoutError,
    TallyfyError,
    TransportError,
)
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.response import Headers, Reply, decode, failure
from tallyfy_async.protocol.verdict import Stop
from tallyfy_async.telemetry import AttemptRecord, Hooks, logger, tell
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.exchange import Progress, Request, Timeouts, Transport
from tallyfy_async.transport.limiter import Limiter
from tallyfy_async.transport.shelter import LoopGuard

_OWN_HEADERS = frozenset(
    [
        "authorization",
        "x-tallyfy-client",
        "accept",
        "content-type",
        "content-length",
        "transfer-encoding",
        "cookie",
        "host",
    ]
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _fits_header(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()


def _checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return headers a user may add; the ones that make a call a Tallyfy call are not among them."""
    for name, value in headers.items():
        if name.lower() in _OWN_HEADERS:
            msg = f"header {name!r} is set by the client and cannot be given"
            raise ConfigurationError(msg)
        if not _HEADER_NAME.fullmatch(name) or not _fits_header(value):
            msg = f"header {name!r} must have a token for a name and one line of printable ASCII for a value"
            raise ConfigurationError(msg)
    return tuple(headers.items())


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _check_kind(kind: type[Any], name: str, value: Any) -> None:
    if not isinstance(value, kind):
        what = "a mapping of names to values" if kind is Mapping else f"{kind.__name__}(…)"
        msg = f"{name} must be {what}, not {type(value).__name__}"
        raise ConfigurationError(msg)


@frozen(kw_only=True)
class RequestOptions:
    """What one call does differently; None keeps the client's setting.

    Attributes:
        timeout: seconds for one attempt, body included, or Timeouts.
        deadline: seconds for the whole call, retries included.
        retry: a RetryPolicy or a number of retries.
        headers: headers to add.
        query: query parameters to add; they win over the call's own.

    Raises ConfigurationError for values out of range and for headers that the client sets itself.
    """

    timeout: float | Timeouts | None = None
    deadline: float | None = None
    retry: RetryPolicy | int | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str])
    query: Mapping[str, Any] = field(factory=dict[str, Any])

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.timeout, Timeouts | None):
            Timeouts(attempt=self.timeout)
        if self.deadline is not None and not _is_time(self.deadline):
            msg = "deadline must be a number of seconds, more than 0"
            raise ConfigurationError(msg)
        if self.retry is not None:
            RetryPolicy.of(self.retry)
        _check_kind(Mapping, "headers", self.headers)
        _check_kind(Mapping, "query", self.query)
        _checked_headers(self.headers)


_NO_OPTIONS = RequestOptions()


@frozen(kw_only=True)
class Call:
    """One call, ready for the pipeline.

    Attributes:
        operation: what is called.
        url: path and query below the base URL.
        organization: its id, for messages.
        headers: extra headers.
        content: the encoded body, None for none.
        content_type: how it is encoded.
        max_bytes: a larger reply is refused.
        options: what this call does differently.

    """

    operation: Operation
    url: str
    organization: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    content: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    max_bytes: int = 256 * 2**20
    options: RequestOptions = _NO_OPTIONS

    @classmethod
    def plan(
        cls,
        operation: Operation,
        values: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        payload: Any = None,
        options: RequestOptions | None = None,
    ) -> Call:
        """Return a call of ``operation`` with path values, query and JSON body; raise ConfigurationError if wrong."""
        values, options = values or {}, _NO_OPTIONS if options is None else options
        _check_kind(RequestOptions, "options", options)
        if query is not None:
            _check_kind(Mapping, "params", query)
        merged = {**(query or {}), **options.query} if options.query else query
        has_type = payload is not None or operation.safety is not Safety.SAFE
        return cls(
            operation=operation,
            url=operation.url(values, merged),
            organization=values.get("org"),
            headers=tuple(options.headers.items()),
            content=None if payload is None else encode_json(payload),
            content_type="application/json" if has_type else None,
            options=options,
        )


def encode_json(payload: Any) -> bytes:
    """Return compact JSON; raise ConfigurationError for what JSON cannot carry."""
    try:
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        msg = "the body cannot be written as JSON: use dicts with text keys, lists, texts, numbers, booleans and None"
        raise ConfigurationError(msg) from None


@frozen(kw_only=True)
class Response:
    """The successful end of a call.

    Attributes:
        reply: what the last attempt brought back.
        payload: its decoded JSON, None for an empty body.
        attempts: how often the call was sent.

    """

    reply: Reply
    payload: Any = field(repr=False)
    attempts: int

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self.reply.status

    @property
    def headers(self) -> Headers:
        """Reply headers."""
        return self.reply.headers

    @property
    def content(self) -> bytes:
        """The body as it came."""
        return self.reply.content

    @property
    def data(self) -> Any:
        """What stands under ``data``; the whole payload where there is no such key."""
        return self._members().get("data", self.payload)

    @property
    def meta(self) -> Any:
        """What stands under ``meta``, None where there is none."""
        return self._members().get("meta")

    @property
    def request_id(self) -> str | None:
        """The server's name for this request, where it gave one."""
        return self.reply.request_id

    @property
    def elapsed(self) -> float:
        """Seconds from the last send to the end of the reply."""
        return self.reply.elapsed

    def _members(self) -> dict[str, Any]:
        payload = self.payload
        return cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}


@frozen(kw_only=True)
class Engine:
    """Performs calls.

    Attributes:
        transport: performs exchanges.
        limiter: slots, pauses and pace.
        tokens: None for calls that need no token.
        clock: time and chance.
        guard: knows the event loop that all this belongs to.
        base_url: what the URLs of calls are relative to.
        headers: headers of every call.
        timeouts: bounds of one attempt.
        deadline: seconds for a call with its retries.
        retry: the retry policy.
        hooks: who hears of attempts.

    """

    transport: Transport
    limiter: Limiter
    tokens: TokenManager | None
    clock: Clock
    guard: LoopGuard
    base_url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeouts: Timeouts
    deadline: float
    retry: RetryPolicy
    hooks: Sequence[Hooks] = ()

    async def call(self, call: Call) -> Response:
        """Perform a call and return its response.

        Raises APIError and its kinds, TransportError and its kinds, AuthError and its kinds, DecodeError,
        ClientClosedError, ClientLoopError.
        """
        self.guard.check()
        deadline = self.deadline if call.options.deadline is None else call.options.deadline
        flight = _Flight(engine=self, call=call, ends_at=self.clock.monotonic() + deadline)
        with self.clock.timeout(deadline):
            return await flight.run()
        raise flight.expired(deadline)


@define(eq=False, kw_only=True)
class _Flight:
    """What changes while one call is under way."""

    engine: Engine
    call: Call
    ends_at: float
    attempts: int = 0
    renewed: bool = False
    progress: Progress | None = None
    last: BaseException | None = None
    started: float = 0.0

    async def run(self) -> Response:
        try:
            return await self.attempt()
        except TallyfyError as error:
            options, engine = self.call.options, self.engine
            policy = engine.retry if options.retry is None else RetryPolicy.of(options.retry)
            safety = self.call.operation.safety
            if policy.retry is None and isinstance(
                policy.judge(safety, error, self.attempts, self.remaining(), 0.0), Stop
            ):
                self.note(error, None)
                raise
            retrying = Retrying(policy, safety, engine.clock, self.remaining, self.note)
            return await retrying.go_on(self.attempt, error)

    def remaining(self) -> float:
        return self.ends_at - self.engine.clock.monotonic()

    async def attempt(self) -> Response:
        """Send once, or twice where the first reply was a 401 that a new token may mend."""
        reply, token = await self.exchange(None)
        if reply.status == 401 and token is not None:
            reply = await self.answer_401(token, reply)
        if not 200 <= reply.status < 300:
            error = self.refused(reply)
            if isinstance(error, AuthenticationError) and self.engine.tokens is not None:
                tell(self.engine.hooks, "on_auth_failure", error)
            raise error
        response = Response(reply=reply, payload=decode(reply), attempts=self.attempts)
        self.tell(reply.status, None, None, reply.request_id)
        return response

    async def answer_401(self, token: Token, reply: Reply) -> Reply:
        tokens = self.engine.tokens
        if tokens is None or self.renewed:
            return reply
        self.renewed = True
        refusal = self.refused(reply)
        self.note(refusal, 0.0)
        try:
            newer = await tokens.rejected(token)
        except AuthError as error:
            error.outcome = Outcome.REFUSED
            raise error from refusal
        if newer is None:
            return reply
        reply, _ = await self.exchange(newer)
        if reply.status == 401:
            tokens.futile()
        return reply

    async def exchange(self, token: Token | None) -> tuple[Reply, Token | None]:
        """Send with ``token``, or else with the current one, which may have to be awaited without a slot."""
        engine = self.engine
        while True:
            await engine.limiter.acquire()
            try:
                current = None if engine.tokens is None else (engine.tokens.peek() or token)
                if engine.tokens is None or current is not None:
                    return await self.send(current), current
            finally:
                engine.limiter.release()
            token = await engine.tokens.get()

    async def send(self, token: Token | None) -> Reply:
        engine, call = self.engine, self.call
        request = self.request(token)
        watched = call.operation.safety is not Safety.SAFE
        self.progress = Progress() if watched else None
        self.attempts += 1
        self.started = engine.clock.monotonic()
        try:
            reply = await engine.transport.exchange(request, self.progress)
        except TransportError as error:
            if call.operation.safety is Safety.WRITE and error.outcome is Outcome.UNKNOWN:
                raise self.indeterminate(str(error)) from error
            raise
        self.progress = None
        if reply.status == 429:
            self.hold_back(reply)
        return reply

    def hold_back(self, reply: Reply) -> None:
        """Let everybody who shares the limiter wait where the server asks for it."""
        policy, engine = self.engine.retry, self.engine
        asked = getattr(failure("", "", reply, engine.clock.time()), "retry_after", None)
        seconds = policy.initial if asked is None else asked
        if seconds <= policy.retry_after_cap:
            engine.limiter.pause(seconds)

    def request(self, token: Token | None) -> Request:
        engine, call = self.engine, self.call
        timeout = call.options.timeout
        timeouts = engine.timeouts if timeout is None else timeout
        if not isinstance(timeouts, Timeouts):
            timeouts = evolve(engine.timeouts, attempt=timeouts)
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
            max_bytes=call.max_bytes,
        )

    def refused(self, reply: Reply) -> APIError:
        operation = self.call.operation
        error = failure(operation.method, operation.path, reply, self.engine.clock.time())
        if isinstance(error, NotFoundError) and self.call.organization:
            error.add_note(f"Looked for in organization {self.call.organization}.")
        return error

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
        status, request_id = getattr(error, "status", None), getattr(error, "request_id", None)
        if retry_in:
            operation = self.call.operation
            logger.info("%s: attempt %d failed (%s), next in %.2f s", operation.id, self.attempts, error, retry_in)
        self.tell(status, error, retry_in, request_id)

    def tell(
        self, status: int | None, error: BaseException | None, retry_in: float | None, request: str | None
    ) -> None:
        if not self.engine.hooks:
            return
        operation = self.call.operation
        record = AttemptRecord(
            operation=operation.id,
            method=operation.method,
            path=operation.path,
            attempt=self.attempts,
            status=status,
            error=None if error is None else type(error).__name__,
            elapsed=self.engine.clock.monotonic() - self.started,
            retry_in=retry_in,
            request_id=request,
        )
        tell(self.engine.hooks, "on_attempt", record)
