"""What the package tells about its work: attempt records, hooks, a redacting logger."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from inspect import isawaitable
from typing import Any, TextIO, TypeGuard, cast

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
        attempt: number of this send within its call, from 1; where nothing was sent, the number of sends before.
        status: HTTP status, None where no reply came; where a reply cannot be used, ``error`` tells it.
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


async def inform(name: str, listener: Callable[..., object] | None, *news: Any) -> None:
    """Call who listens, if anybody does, and await it where it is asynchronous; log what it raises, and ignore it."""
    if listener is None:
        return
    try:
        heard = listener(*news)
        if isawaitable(heard):
            await heard
    except Exception as error:  # noqa: BLE001 - who watches must not break what it watches
        logger.error("%s raised %s and is ignored", name, type(error).__name__)  # noqa: TRY400 - as in complain


class LoggingHooks(Hooks):
    """Writes a line for every attempt to the logger ``tallyfy_async``, at ``DEBUG``.

    Its records carry the fields operation, attempt, status, request_id, error, elapsed and retry_in.
    """

    def on_attempt(self, record: AttemptRecord) -> None:
        """Write one line."""
        if logger.isEnabledFor(logging.DEBUG):
            line = "%s: %s %s, attempt %d -> %s in %.3f s"
            came = record.status or record.error
            if record.status is not None and record.status < 400 and record.error is not None:
                came = f"{record.status}, {record.error}"
            values = (record.operation, record.method, record.path, record.attempt, came, record.elapsed)
            logger.debug(line, *values, extra={name: getattr(record, name) for name in _LOGGED})


_LOGGED = ("operation", "attempt", "status", "request_id", "error", "elapsed", "retry_in")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PLAIN = logging.Formatter()


class RedactedError(Exception):
    """Stands in a log for an exception; its text is the whole traceback, redacted and without variables."""


class RedactingFilter(logging.Filter):
    """Mask secrets in whatever passes: text, extra fields, tracebacks. Attach it to a handler, also of other loggers.

    Records of structlog, whose message is a dict that its ``ProcessorFormatter`` renders, stay dicts. Formatters that
    render exceptions themselves, such as those that write JSON, find a :class:`RedactedError` in the place of the
    exception. From Python 3.12 on other handlers see the record as it was, before that as it has become.
    """

    def filter(self, record: logging.LogRecord) -> Any:
        """Return the record with its message, extra fields and traceback redacted."""
        if sys.version_info >= (3, 12):
            record = copy.copy(record)
        message: Any = record.msg
        if _is_event(message):
            record.msg = redact_event(None, "", {**message})
        else:
            record.msg, record.args = _message(record), ()
        if record.exc_text:  # another handler's, with everything in it
            record.exc_text = redact(record.exc_text)
            record.exc_info = _stand_in(record.exc_text)
        elif record.exc_info:
            record.exc_text = redact(_PLAIN.formatException(record.exc_info))
            record.exc_info = _stand_in(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        fields = vars(record)
        for name in fields.keys() - _STANDARD:
            fields[name] = _shown(fields[name], name)
        return record


def _message(record: logging.LogRecord) -> str:
    """Return the text of a record, without its arguments where they do not fit: a filter must not raise."""
    if isinstance(record.args, Mapping):
        record.args = redact_value(dict(record.args))
    try:
        return redact(record.getMessage())
    except Exception:  # noqa: BLE001 - logging itself would only complain
        text = redact(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{text} (its arguments do not fit)"


def _is_event(message: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(message, dict)


def _stand_in(text: str) -> tuple[type[RedactedError], RedactedError, None]:
    return RedactedError, RedactedError(text), None


def _told(exc_info: Any) -> Any:
    """Return what structlog knows of an exception (itself, a tuple, or True), with the stand-in in its place."""
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif exc_info and not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    found = cast("tuple[Any, Any, Any] | None", exc_info)
    if not found or found[1] is None or isinstance(found[1], RedactedError):
        return found
    return _stand_in(redact(_PLAIN.formatException(found)))


def _shown(value: Any, name: str) -> Any:
    if name.startswith("_"):  # structlog keeps its logger there
        return value
    try:
        return redact(repr(value)) if isinstance(value, BaseException) else redact_value(value, name)
    except Exception:  # noqa: BLE001 - a filter must not raise, whatever a foreign object does when it is looked at
        return f"<{type(value).__name__}>"


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in an event: a processor for structlog, to stand right before the renderer.

    Texts are redacted; what stands under a name such as ``password`` or ``access_token`` is masked whole, in nested
    dicts and lists too. In the place of an exception (``exc_info``) comes a :class:`RedactedError`.
    """
    if "exc_info" in event:
        event["exc_info"] = _told(event["exc_info"])
    for name, value in event.items():
        event[name] = value if name == "exc_info" else _shown(value, name)
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
