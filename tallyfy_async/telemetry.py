"""What the package tells about its work: attempt records, hooks, a redacting logger."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO

from attrs import frozen

from tallyfy_async.protocol.redaction import redact, redact_value

logger = logging.getLogger("tallyfy_async")


@frozen(kw_only=True)
class CallRecord:
    """One call that begins. It holds no secret and no payload; its path is a template but for raw requests.

    Attributes:
        operation: operationId, or ``request`` for a raw request.
        method: HTTP method.
        path: path template; of a raw request the path itself, which may hold ids.
        base_url: what the path is relative to.
        server_address: host that it goes to.
        server_port: port there.

    """

    operation: str
    method: str
    path: str
    base_url: str
    server_address: str
    server_port: int


@frozen(kw_only=True)
class AttemptRecord:
    """One attempt of one call, seen after it ended. It holds no secret and no payload, and no id but of raw requests.

    Attributes:
        operation: operationId, or ``request`` for a raw request.
        method: HTTP method.
        path: path template; of a raw request the path itself.
        attempt: number of this send within its call, from 1.
        status: HTTP status, None where no reply came.
        error: name of the error's class, None where the attempt succeeded; ``Cancelled`` where the caller was.
        elapsed: seconds from the send to the end of the reply, or to the failure; 0 where nothing was sent.
        retry_in: seconds after which the call is sent again, None where it is not.
        request_id: the server's name for the request.
        server_address: host that it went to.
        server_port: port there.

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
    server_address: str | None = None
    server_port: int | None = None


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


class CallHooks:
    """Follows one call from its begin to its end; :meth:`Hooks.on_call` returns it. Override what you want to hear of.

    All methods run in the task of the caller, whose context variables they see.
    """

    def on_send(self, attempt: int) -> Mapping[str, str] | None:  # noqa: ARG002 - for those who override it
        """Hear of every attempt right before it is sent; return headers to add to it, such as ``traceparent``.

        Headers that the call brings already, and those that the client sets itself, stay as they are.
        """
        return None

    def on_attempt(self, record: AttemptRecord) -> None:
        """Hear of the end of every attempt, cut ones included.

        A failure before anything was sent is told too, without an ``on_send`` before it.
        """

    def on_end(self, error: BaseException | None) -> None:
        """Hear of the end of the call, in any case and once; ``error`` is what the caller gets, None for success.

        A download ends here as soon as its body can be read.
        """


class Hooks:
    """Subclass and override what you want to hear of; pass instances as ``TallyfyClient(hooks=[…])``.

    A hook that raises is logged and otherwise ignored. ``on_call`` and ``on_attempt`` run on the path of every call: be
    quick.
    """

    def on_call(self, record: CallRecord) -> CallHooks | None:  # noqa: ARG002 - for those who override it
        """Hear of every call before anything of it happens, token requests included; return who follows it."""
        return None

    def on_attempt(self, record: AttemptRecord) -> None:
        """Hear of every attempt of every call, token requests included."""

    async def on_token(self, record: TokenRecord) -> None:
        """Hear of every new token, after the manager's lock is free, so that this may call the API."""

    def on_auth_failure(self, error: Exception) -> None:
        """Hear of every failure to get or use a token (seed 002: log authentication failures)."""


def tell(hooks: Iterable[Hooks | CallHooks], what: str, argument: Any) -> list[Any]:
    """Call one synchronous hook method on all hooks and return what they return; None for one that raises."""
    return [_tell_one(hook, what, argument) for hook in hooks]


def _tell_one(hook: Hooks | CallHooks, what: str, argument: Any) -> Any:
    try:
        return getattr(hook, what)(argument)
    except Exception:  # noqa: BLE001 - a hook must not break the call it watches
        complain(what, hook)


def complain(what: str, hook: Hooks | CallHooks) -> None:
    """Log that a hook raised, without its traceback, whose locals may hold anything."""
    logger.error("hook %s of %s raised and is ignored", what, type(hook).__name__)


class LoggingHooks(Hooks):
    """Writes a line for every attempt to the logger ``tallyfy_async``, at ``DEBUG``.

    Its records carry the fields operation, attempt, status, request_id, error, elapsed and retry_in.
    """

    def on_attempt(self, record: AttemptRecord) -> None:
        """Write one line."""
        if logger.isEnabledFor(logging.DEBUG):
            came = record.error if record.status is None else record.status
            line = "%s: %s %s, attempt %d -> %s in %.3f s"
            values = (record.operation, record.method, record.path, record.attempt, came, record.elapsed)
            logger.debug(line, *values, extra={name: getattr(record, name) for name in _LOGGED})


_LOGGED = ("operation", "attempt", "status", "request_id", "error", "elapsed", "retry_in")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PLAIN = logging.Formatter()


class RedactingFilter(logging.Filter):
    """Mask secrets in whatever passes: text, extra fields, tracebacks. Attach it to a handler, also of other loggers.

    Records of structlog, whose message is a dict that its ``ProcessorFormatter`` renders, stay dicts.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the record's message, extra fields and traceback by redacted ones."""
        if _is_event(record.msg):
            record.msg = redact_value(record.msg)
        else:
            record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = redact(_PLAIN.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        fields = vars(record)
        for name in fields.keys() - _STANDARD:
            if not name.startswith("_"):  # structlog keeps its logger there
                fields[name] = redact_value(fields[name], name)
        return True


def _is_event(message: object) -> bool:
    return isinstance(message, dict)


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in an event: a processor for structlog, to stand right before the renderer.

    Texts are redacted; what stands under a name such as ``password`` or ``access_token`` is masked whole, in nested
    dicts and lists too.
    """
    for name, value in event.items():
        event[name] = value if name.startswith("_") else redact_value(value, name)
    return event


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
