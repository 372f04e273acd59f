"""The exit statuses of the command line, which scripts may rely on."""

from __future__ import annotations

import enum

from tallyfy_async.errors import (
    APIError,
    AuthenticationError,
    AuthError,
    ConfigurationError,
    IndeterminateError,
    InsufficientScopeError,
    InvalidClientError,
    KickoffError,
    ServerError,
    TallyfyError,
    TokenRequestError,
    TransportError,
)


class ExitCode(enum.IntEnum):
    """What a command ends with."""

    OK = 0
    """It did what it was told."""
    FAILED = 1
    """It failed in another way, or found something to complain about."""
    USAGE = 2
    """Wrong arguments, files or settings, or an extra that is missing; nothing was changed."""
    NOT_LOGGED_IN = 3
    """There are no credentials, or the server does not accept them."""
    REFUSED = 4
    """The server refused the call."""
    UNREACHABLE = 5
    """The server could not be reached, or failed."""
    UNKNOWN = 6
    """The reply to a write was lost: it may have landed. Look before you repeat it."""
    INTERRUPTED = 130
    """Ctrl-C."""


MEANINGS = (
    "Exit status: 0 done; 1 failed, or something was found; 2 usage; 3 not logged in; 4 refused by the server; "
    "5 not reachable; 6 a write may have landed; 130 interrupted."
)


class NotLoggedInError(AuthError):
    """There are no credentials to call with."""


_CODES: tuple[tuple[type[TallyfyError], ExitCode], ...] = (
    (IndeterminateError, ExitCode.UNKNOWN),
    (TransportError, ExitCode.UNREACHABLE),
    (InsufficientScopeError, ExitCode.REFUSED),
    (InvalidClientError, ExitCode.NOT_LOGGED_IN),
    (AuthenticationError, ExitCode.NOT_LOGGED_IN),
    (AuthError, ExitCode.NOT_LOGGED_IN),
    (APIError, ExitCode.REFUSED),
    (KickoffError, ExitCode.USAGE),
    (ConfigurationError, ExitCode.USAGE),
)
"""The first class that fits decides."""


def code_of(error: TallyfyError) -> ExitCode:
    """Return the exit status that an error stands for."""
    if isinstance(error, ServerError):
        return ExitCode.UNREACHABLE if error.method in {None, "GET", "HEAD"} else ExitCode.UNKNOWN
    if isinstance(error, TokenRequestError) and not isinstance(error, InvalidClientError):
        return _of_token_request(error)
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)


def _of_token_request(error: TokenRequestError) -> ExitCode:
    if error.status is None or error.status >= 500:
        return ExitCode.UNREACHABLE
    return ExitCode.REFUSED if error.status == 429 else ExitCode.NOT_LOGGED_IN
