"""What a reply says of the pace, told to the limiter."""

from __future__ import annotations

from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.engine.plan import Call
from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import RateLimitError
from tallyfy_async.protocol.limits import remaining
from tallyfy_async.protocol.response import Reply
from tallyfy_async.transport.pace import Pace


def clear(pace: Pace, call: Call, tokens: TokenManager | None, caller: object, *, claim: bool) -> None:
    """Raise RateLimitError, with outcome NOT_SENT, where the server said that a call is not allowed again yet.

    ``claim`` says that the caller is about to send, so that it is the one who goes first when the time is over.
    """
    if pace.caps.idle:
        return
    try:
        pace.caps.check(call.operation.id, call.organization, whose(tokens), caller, claim=claim)
    except RateLimitError as error:
        error.method, error.path = call.operation.method, call.operation.path
        raise


def learn(pace: Pace, call: Call, tokens: TokenManager | None, reply: Reply, began: float, *, whole: bool) -> None:
    """Tell what a reply says to an exchange that began then; of a 429 ``hold_back`` tells, when its error is there.

    ``whole`` is False where the body is still to be read. The latency of such a reply, of an upload and of a request of
    the user's own making says nothing about the server: it depends on what is asked for.
    """
    if reply.status == 429:
        return
    operation = call.operation
    if 200 <= reply.status < 300:
        typical = whole and call.streamed is None and operation.confidence != "raw"
        pace.succeeded(operation.id if typical else None, began, reply.elapsed)
        pace.caps.landed(operation.id, call.organization, began)
    if not pace.caps.idle:
        pace.caps.passed(whose(tokens), began)
    if (count := remaining(reply.headers)) is not None:
        pace.remain(count, began, whose(tokens))


def hold_back(  # noqa: PLR0917 - all that decides
    pace: Pace,
    policy: RetryPolicy,
    call: Call,
    tokens: TokenManager | None,
    error: RateLimitError,
    reply: Reply,
    began: float,
    attempt: int,
) -> None:
    """Let everybody who shares the limiter wait where the server asks for it; an hourly cap concerns one action.

    A burst that does not say for how long pauses by the policy's back-off after so many attempts. One that asks for
    longer than the policy waits pauses nobody: its user's calls are refused until then.
    """
    if error.action is not None:
        pace.caps.reached(error, call.operation.id, call.organization)
        return
    pace.refused(began)
    if (count := remaining(reply.headers)) is not None:
        pace.remain(count, began, whose(tokens))
    seconds = policy.backoff(attempt) if error.retry_after is None else error.retry_after
    if seconds <= policy.retry_after_cap:
        pace.pause(seconds, whose(tokens))
    else:
        pace.caps.told_to_wait(error, whose(tokens))


def whose(tokens: TokenManager | None) -> str | None:
    """Return what tells users apart: the server's limits are those of one."""
    return None if tokens is None else tokens.key
