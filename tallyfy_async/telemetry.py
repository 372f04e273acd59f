"""What the package tells about its work: attempt records, hooks, a redacting logger."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TextIO

from attrs import frozen

from tallyfy_async.protocol.redaction import redact

logger = logging.getLogger("tallyfy_async")


@frozen(kw_only=True)
class AttemptRecord:
    """One attempt of one call, seen after it ended. It holds no secret, no id and no payload.

    Attributes:
        operation: operationId, or ``request`` for a raw request.
        method: HTTP method.
        path: path template.
        attempt: number of this send within its call, from 1.
        status: HTTP status, None where no reply came.
        error: name of the error's class, None where the attempt succeeded.
        elapsed: seconds from the send to the end of the reply, or to the failure.
        retry_in: seconds after which the call is sent again, None where it is not.
        request_id: the server's name for the request.

    """

    operation: str
    method: str
    path: str
    attempt: int
    status: int | None
    error: str | None
    elapsed: float
    retry_in: float | None = None
    request_id: str | None = None


@frozen(kw_only=True)
class TokenRecord:
    """One token that came into use, by a token request or from the store.

    Attributes:
        grant: name of the grant.
        generation: number of the token in its line, from 1.
        lifetime: seconds that it lives from its issue, None where unknown.
        adopted: whether another manager or process got it and it was only read from the store.

    """

    grant: str
    generation: int
    lifetime: float | None
    adopted: bool


class Hooks:
    """Subclass and override what you want to hear of; pass instances as ``TallyfyClient(hooks=[…])``.

    A hook that raises is logged and otherwise ignored. ``on_attempt`` runs on the path of every call: be quick.
    """

    def on_attempt(self, record: AttemptRecord) -> None:
        """Hear of every attempt of every call, token requests included."""

    async def on_token(self, record: TokenRecord) -> None:
        """Hear of every new token, after the manager's lock is free, so that this may call the API."""

    def on_auth_failure(self, error: Exception) -> None:
        """Hear of every failure to get or use a token (seed 002: log authentication failures)."""


def tell(hooks: Iterable[Hooks], what: str, argument: Any) -> None:
    """Call one synchronous hook method on all hooks."""
    for hook in hooks:
        try:
            getattr(hook, what)(argument)
        except Exception:  # noqa: BLE001 - a hook must not break the call it watches
            complain(what, hook)


def complain(what: str, hook: Hooks) -> None:
    """Log that a hook raised, without its traceback, whose locals may hold anything."""
    logger.error("hook %s of %s raised and is ignored", what, type(hook).__name__)


class RedactingFilter(logging.Filter):
    """Mask secrets in whatever passes; attach it to handlers that also serve other loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the record's message by its redacted text."""
        record.msg, record.args = redact(record.getMessage()), ()
        return True


def configure_logging(level: str) -> None:
    """Send the package's log to standard error at ``debug`` or ``info`` (the variable TALLYFY_LOG).

    Calling it again changes the level and adds no second handler.
    """
    if not any(isinstance(handler, _Console) for handler in logger.handlers):
        logger.addHandler(_Console())
    logger.setLevel(level.upper())


class _Console(logging.StreamHandler[TextIO]):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        self.addFilter(RedactingFilter())
