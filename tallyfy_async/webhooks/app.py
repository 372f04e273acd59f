"""The receiver: an ASGI application without a framework."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

from attrs import frozen

from tallyfy_async.errors import ConfigurationError, WebhookError
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.webhooks.dispatcher import Dispatcher
from tallyfy_async.webhooks.events import AnyEvent, parse_event
from tallyfy_async.webhooks.refusals import Refusal, refusal
from tallyfy_async.webhooks.sender import SenderCheck

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CLOCK: Final = SystemClock()
_MEBIBYTE: Final = 1 << 20
_OK: Final = b"accepted\n"
_PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")
_EXTRA: Final[Mapping[str, tuple[bytes, bytes]]] = {
    Refusal.SECRET.value: (b"www-authenticate", b'Basic realm="webhooks"'),
    Refusal.METHOD.value: (b"allow", b"POST"),
    Refusal.TIMEOUT.value: (b"connection", b"close"),
    Refusal.FULL.value: (b"retry-after", b"1"),
}


@frozen(kw_only=True)
class ReceiverStatistics:
    """What a receiver did so far.

    Attributes:
        accepted: deliveries answered with 200.
        refused: kind of the refusal, such as ``organization`` or ``full`` -> deliveries.
        abandoned: deliveries whose sender went away before the body was whole.

    """

    accepted: int
    refused: Mapping[str, int]
    abandoned: int


class _AbandonedError(Exception):
    """The sender went away."""


class WebhookApp:
    """Receives webhooks: checks a delivery, answers at once, and hands the event to a dispatcher.

    It is an ASGI application. Mount it in Starlette or FastAPI (``app.mount("/hooks", WebhookApp(…))``; the address
    given to Tallyfy then ends in a slash or goes on, ``/hooks/`` or ``/hooks/SECRET``) and run the dispatcher in that
    application's lifespan; or serve it alone, then it runs the dispatcher itself.

    Tallyfy delivers once and looks at no answer, so what is refused is lost, unless :func:`catch_up` finds it later. It
    is answered before the handlers run: 200; 400 for what is no webhook; 401 and 403 for the wrong sender; 405; 408
    where the body takes too long; 413; 415; 503 where the queue is full or the dispatcher does not run.

    Args:
        dispatcher: takes the events.
        sender: who may send; the id of an organization stands for a check of the header alone.
        max_bytes: the largest body.
        body_timeout: seconds for the body to come.
        clock: time.

    Raises ConfigurationError for arguments that cannot work.

    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        sender: SenderCheck | str,
        *,
        max_bytes: int = _MEBIBYTE,
        body_timeout: float = 10.0,
        clock: Clock = _CLOCK,
    ) -> None:
        if max_bytes < 1 or not 0 < body_timeout < math.inf:
            msg = "max_bytes must be 1 or more, and body_timeout a number of seconds above 0"
            raise ConfigurationError(msg)
        self._dispatcher = dispatcher
        self._sender = sender if isinstance(sender, SenderCheck) else SenderCheck(sender)
        self._max_bytes, self._body_timeout, self._clock = max_bytes, body_timeout, clock
        self._refused: Counter[str] = Counter()
        self._accepted = self._abandoned = 0

    def __repr__(self) -> str:
        return f"<WebhookApp {self._sender!r} {self._dispatcher!r}>"

    @property
    def statistics(self) -> ReceiverStatistics:
        """What was received so far."""
        return ReceiverStatistics(accepted=self._accepted, refused=dict(self._refused), abandoned=self._abandoned)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            event = await self._event(scope, receive)
            self._dispatcher.offer(event)
        except _AbandonedError:
            self._abandoned += 1
        except WebhookError as error:
            self._refused[error.kind] += 1
            extra = _EXTRA.get(error.kind)
            await _answer(send, error.status, f"{error}\n".encode(), *([] if extra is None else [extra]))
        else:
            self._accepted += 1
            await _answer(send, 200, _OK)

    async def _event(self, scope: Scope, receive: Receive) -> AnyEvent:
        headers = scope["headers"]
        if scope["method"] != "POST":
            raise refusal(Refusal.METHOD, "a webhook is a POST")
        query = scope.get("query_string", b"")
        organization = self._sender.verify(headers=headers, path=scope.get("path", ""), query=query)
        fields: dict[bytes, bytes] = dict(headers)
        if not _is_json(fields.get(b"content-type", b"")):
            raise refusal(Refusal.CONTENT_TYPE, "a webhook is application/json")
        if not self._dispatcher.is_running:
            raise refusal(Refusal.CLOSED, "the receiver is starting or stopping")
        return parse_event(await self._body(fields, receive), organization=organization)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        length = headers.get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > self._max_bytes):
            raise self._too_large()
        body = None
        with self._clock.timeout(self._body_timeout):
            body = await self._received(receive)
        if body is None:
            raise refusal(Refusal.TIMEOUT, "the body did not come in time")
        return body

    async def _received(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _AbandonedError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> WebhookError:
        return refusal(Refusal.TOO_LARGE, f"the body is larger than {self._max_bytes} bytes")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Run the dispatcher for as long as the server does, unless it runs already."""
        await receive()
        running = contextlib.nullcontext() if self._dispatcher.is_running else self._dispatcher.running()
        async with running:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, status: int, body: bytes, *extra: tuple[bytes, bytes]) -> None:
    headers = [_PLAIN, (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))
