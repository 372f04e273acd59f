"""Every exception of the package.

::

    TallyfyError (.outcome)
    ├── ConfigurationError (also a ValueError)   wrong arguments, before anything is sent
    ├── ClientClosedError                        used after close
    ├── ClientLoopError                          used from another event loop or process
    ├── TransportError                           the exchange with the server broke
    │   ├── NotSentError                         nothing reached the server
    │   ├── RequestTimeoutError (also a TimeoutError)
    │   └── IndeterminateError                   a write may have landed
    ├── APIError (.status .message .code .request_id .method .path .body)
    │   ├── BadRequestError                      400
    │   ├── AuthenticationError                  401
    │   ├── PermissionDeniedError                403
    │   ├── NotFoundError                        404, unknown id
    │   ├── EndpointNotFoundError                404, unknown route
    │   ├── ConflictError                        409
    │   │   └── SeatPoolExhaustedError
    │   ├── ValidationError (.fields)            422
    │   ├── RateLimitError (.retry_after .resumes_at .action .limit)   429
    │   └── ServerError                          5xx
    ├── AuthError                                no usable token
    │   ├── ReauthenticationRequiredError
    │   │   └── PersonalTokenRevokedError
    │   ├── TokenRequestError (.status .error .description .retry_after)
    │   │   └── InvalidClientError (also a ConfigurationError)
    │   ├── AmbiguousRefreshError
    │   ├── InsufficientScopeError
    │   └── RedirectError
    ├── UploadSourceError (.retry_after)         what was to be uploaded cannot be sent, or not again
    ├── StoreError
    │   ├── StoreCorruptError
    │   └── StoreLockTimeoutError
    ├── EndpointRenamedError (.replacement)      the path was renamed in 2018 (seed 000)
    ├── EndpointRemovedError (.replacement)      the path was removed in 2018 (seed 000)
    ├── DecodeError (.path .status .request_id)  a reply that is not what the contract says
    ├── PaginationError (.seen .total)           a walk that would have ended short
    ├── ExportError                              what an export writes to failed, or is another's now
    ├── KickoffError (.fields)                   kick-off or form values that do not fit the definitions
    └── WebhookError (.kind .status)             an unacceptable webhook delivery
    UnverifiedEndpointWarning (a UserWarning)    an operation that no official document shows

Every class can be copied and pickled. None holds a request, a token or a value of a payload in its message.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self


class Outcome(enum.Enum):
    """What is known about the effect of a call that failed."""

    NOT_SENT = "not_sent"
    """Nothing reached the server."""
    REFUSED = "refused"
    """The server answered that it did nothing."""
    UNKNOWN = "unknown"
    """The call may have taken effect: read back before sending it again."""
    DONE = "done"
    """The server did it; only the reply could not be used."""


def _rebuild(cls: type[TallyfyError], args: tuple[Any, ...], state: dict[str, Any]) -> TallyfyError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class TallyfyError(Exception):
    """Base of every error of this package; ``outcome`` is what is known about the effect of the call, None for none."""

    outcome: Outcome | None = None

    def __init__(self, message: str = "", *, outcome: Outcome | None = None) -> None:
        super().__init__(message)
        if outcome is not None:
            self.outcome = outcome

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name != "__notes__"}
        notes = getattr(self, "__notes__", None)
        return _rebuild, (type(self), self.args, state | ({"__notes__": list(notes)} if notes else {}))

    def twin(self) -> Self:
        """Return an equal error without traceback, for another task to raise."""
        rebuild, parts = self.__reduce__()  # copy.copy keeps tracebacks and causes where tblib is installed, as by Dask
        error: Self = rebuild(*parts)
        return error

    __copy__ = twin


class _LaterError(TallyfyError):
    """The server may have said, by ``retry_after`` in seconds, when to come again."""

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class ConfigurationError(TallyfyError, ValueError):
    """An argument is wrong; nothing was sent."""

    outcome = Outcome.NOT_SENT


class ClientClosedError(TallyfyError):
    """The client was used after it was closed."""

    outcome = Outcome.NOT_SENT


class ClientLoopError(TallyfyError):
    """The client was used from an event loop or a process other than the one that it belongs to."""

    outcome = Outcome.NOT_SENT


class TransportError(TallyfyError):
    """The exchange with the server broke before a usable reply was there."""

    outcome = Outcome.UNKNOWN


class NotSentError(TransportError):
    """Nothing of the request reached the server: sending it again is safe for every method."""

    outcome = Outcome.NOT_SENT


class RequestTimeoutError(TransportError, TimeoutError):
    """No reply in time. For a write that was already on its way, IndeterminateError is raised instead."""


class IndeterminateError(TransportError):
    """A write was sent and its reply was lost: it may have landed. Read back before sending it again."""


class UploadSourceError(_LaterError):
    """An upload cannot be sent, or not again: a stream is spent, a file changed or is too large. Nothing was stored.

    A refusal (401, 429) that made a second sending necessary is the ``__cause__``.
    """

    outcome = Outcome.NOT_SENT


class APIError(TallyfyError):
    """The server answered with an error status.

    Attributes:
        status: HTTP status code.
        message: the server's own words, never empty.
        code, request_id: where the reply has them, the body's ``code`` (``RATE_LIMIT_EXCEEDED``), ``X-Request-Id``.
        method, path: of the call; the path is the template, without ids.
        body: decoded JSON body, or text where it was no JSON (cut to 2,000 characters).

    """

    outcome = Outcome.REFUSED

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        request_id: str | None = None,
        method: str = "",
        path: str = "",
        body: Any = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome)
        self.status = status
        self.message = message
        self.code = code
        self.request_id = request_id
        self.method = method
        self.path = path
        self.body = body

    def __str__(self) -> str:
        call = f"{self.method} {self.path} -> " if self.method else ""
        return f"{call}{self.status}: {self.message}{f' ({self.request_id})' if self.request_id else ''}"


class BadRequestError(APIError):
    """400: a business rule refused the call."""


class AuthenticationError(APIError):
    """401: the token was refused, also after one refresh where a refresh was possible."""


class PermissionDeniedError(APIError):
    """403: not allowed, by permission, scope or a domain rule."""


class NotFoundError(APIError):
    """404: no such object, or it lives in another organization than the one in the path."""


class EndpointNotFoundError(APIError):
    """404: no such route."""


class ConflictError(APIError):
    """409: the call contradicts the state of the server."""


class SeatPoolExhaustedError(ConflictError):
    """409: no seat of the pool is left; ``pool_type`` is ``full`` or ``light``, None where the body does not tell."""

    def __init__(self, message: str, *, pool_type: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.pool_type = pool_type


class ValidationError(APIError):
    """422: the input was refused; ``fields``: path of a field, also of a nested one (``tasks.0.title``) -> messages."""

    def __init__(self, message: str, *, fields: Mapping[str, Sequence[str]] | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.fields: dict[str, list[str]] = {name: list(messages) for name, messages in (fields or {}).items()}


class RateLimitError(_LaterError, APIError):
    """429: too many requests, or too many of one action of an organization in an hour (an hourly cap).

    After an hourly cap, calls of that action and organization are refused before they are sent (outcome NOT_SENT); so
    are all calls of a user whom the server told to wait for longer than the retry policy allows.

    Attributes:
        retry_after: seconds after which a call makes sense again, None where the server does not tell.
        resumes_at: that time in UTC; of an hourly cap always known, if need be by our own record of the last hour.
        action, limit: what is capped, such as ``Comment``, and how often an hour; None for a burst.

    """

    def __init__(
        self,
        message: str,
        *,
        action: str | None = None,
        limit: int | None = None,
        resumes_at: datetime | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.action = action
        self.limit = limit
        self.resumes_at = resumes_at


class ServerError(_LaterError, APIError):
    """5xx: the server failed. The outcome of a write is unknown; ``retry_after`` is as in RateLimitError."""

    outcome = Outcome.UNKNOWN


class AuthError(TallyfyError):
    """No usable token could be had; the call that needed it was not sent, or was refused."""

    outcome = Outcome.NOT_SENT


class ReauthenticationRequiredError(AuthError):
    """The stored tokens are dead and cannot be renewed without the user or new credentials."""


class PersonalTokenRevokedError(ReauthenticationRequiredError):
    """A personal access token was refused: it expired, or its user logged out (seed 002)."""


class TokenRequestError(_LaterError, AuthError):
    """The token endpoint refused or failed; tokens already held are kept.

    ``status`` is that of the reply, ``error`` its OAuth error code (``invalid_client``), ``description`` what it
    says, ``retry_after`` the seconds after which a token request makes sense again; each None where unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        error: str | None = None,
        description: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.status = status
        self.error = error
        self.description = description


class InvalidClientError(TokenRequestError, ConfigurationError):
    """The token endpoint does not know the client id, or its secret is wrong. Tokens already held are kept."""


class AmbiguousRefreshError(AuthError):
    """A refresh was sent and its reply was lost: the refresh token may be spent, so it is not sent again."""


class InsufficientScopeError(AuthError):
    """The token's scopes do not cover the operation (seed 000)."""


class RedirectError(AuthError):
    """An OAuth redirect is refused: state, PKCE, issuer, mismatch or denied consent."""


class StoreError(TallyfyError):
    """A token store failed."""


class StoreCorruptError(StoreError):
    """A token store holds something that is not a token record."""


class StoreLockTimeoutError(StoreError):
    """The lock of a token store could not be had in time."""


class _OldEndpointError(TallyfyError):
    """The path is gone; ``replacement`` is what to call instead, None where the seed names nothing."""

    outcome = Outcome.NOT_SENT

    def __init__(self, message: str, *, replacement: str | None = None) -> None:
        super().__init__(message)
        self.replacement = replacement


class EndpointRenamedError(_OldEndpointError):
    """The path was renamed on 2018-11-08 (seed 000)."""


class EndpointRemovedError(_OldEndpointError):
    """The path was removed on 2018-11-08 (seed 000)."""


class DecodeError(TallyfyError):
    """A reply is not what the contract says. Its message names paths and types, never values.

    ``path``: where, such as ``data[3].name``, or ``body``; ``status``, ``request_id``: of a reply that cannot be read.
    """

    outcome = Outcome.DONE
    status: int | None = None
    request_id: str | None = None

    def __init__(self, message: str, *, path: str = "body", outcome: Outcome | None = None) -> None:
        super().__init__(message, outcome=outcome)
        self.path = path


class PaginationError(TallyfyError):
    """A list would have ended short, its pages do not move on, or it changed and ``on_drift="raise"`` was asked for.

    ``seen`` is items given so far, each counted once; ``total`` those that the server announced last, None for none.
    """

    def __init__(self, message: str, *, seen: int, total: int | None = None) -> None:
        super().__init__(message)
        self.seen = seen
        self.total = total


class ExportError(TallyfyError):
    """What an export writes to failed, was changed, or was taken over by another export; called again, it goes on."""


class KickoffError(TallyfyError):
    """Values do not fit the form's definitions, nothing was sent; ``fields``: label, alias or id -> what is wrong."""

    outcome = Outcome.NOT_SENT

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class WebhookError(TallyfyError):
    """A webhook delivery is unacceptable: ``kind`` tells why, ``status`` is the HTTP status that answers it."""

    kind: str = "malformed"
    status: int = 400


class UnverifiedEndpointWarning(UserWarning):
    """The operation is only inferred: no official document shows it. ``allow_unverified=True`` silences it."""
