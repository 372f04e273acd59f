"""What is told of one call while it is under way; made only where there are hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from attrs import define, evolve, field

from tallyfy_async.engine.plan import Call, RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.origin import origin_of
from tallyfy_async.telemetry import AttemptRecord, CallHooks, CallRecord, Hooks, complain, tell
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.exchange import Request

_PORTS = {"http": 80, "https": 443}
_SHOWN_AS = {"CancelledError": "Cancelled"}
"""Both event loops' word for a caller that was cancelled is trio's."""


@define(eq=False)
class Trail:
    """Tells the hooks of one call: of its begin, of each attempt's begin and end, of its end, each once.

    Attributes:
        hooks: the client's hooks.
        clock: measures attempts.
        call: what is called.

    """

    hooks: Sequence[Hooks]
    clock: Clock
    call: CallRecord
    _followers: list[CallHooks] = field(factory=list[CallHooks], init=False)
    _attempt: int = field(default=0, init=False)
    _started: float | None = field(default=None, init=False)
    """When the attempt that is under way was sent, None where none is."""

    @classmethod
    def begin(cls, hooks: Sequence[Hooks], clock: Clock, base_url: str, call: Call) -> Trail:
        """Tell that a call begins."""
        operation = call.operation
        base, path = (base_url, operation.path) if base_url else _split(call.url, operation.path)
        address, port = _place_of(base)
        record = CallRecord(
            operation=operation.id,
            method=operation.method,
            path=path,
            base_url=base,
            server_address=address,
            server_port=port,
        )
        trail = cls(hooks, clock, record)
        trail._followers += [one for one in tell(hooks, "on_call", record) if isinstance(one, CallHooks)]
        return trail

    def sent(self, attempt: int, request: Request) -> Request:
        """Tell that an attempt is about to be sent, and return its request with the headers that followers add."""
        self._attempt, self._started = attempt, self.clock.monotonic()
        added: dict[str, str] = {}
        for follower, headers in zip(self._followers, tell(self._followers, "on_send", attempt), strict=True):
            if headers is not None:
                added |= _checked(follower, headers)
        known = {name.lower() for name, _ in request.headers} if added else set[str]()
        new = tuple((name, value) for name, value in added.items() if name.lower() not in known)
        return evolve(request, headers=request.headers + new) if new else request

    def told(
        self, attempt: int, status: int | None, error: BaseException | None, retry_in: float | None, request: str | None
    ) -> None:
        """Tell how an attempt ended, or that none was sent; a success is the end of the call."""
        started, self._started = self._started, None
        if started is None:  # it failed before it was sent, perhaps by the answer to a token request
            status = request = None
        record = AttemptRecord(
            operation=self.call.operation,
            method=self.call.method,
            path=self.call.path,
            attempt=attempt,
            status=status,
            error=None if error is None else error_name(error),
            elapsed=0.0 if started is None else self.clock.monotonic() - started,
            retry_in=retry_in,
            request_id=request,
            server_address=self.call.server_address,
            server_port=self.call.server_port,
        )
        tell(self.hooks, "on_attempt", record)
        tell(self._followers, "on_attempt", record)
        if error is None:
            self.ended(None)

    def ended(self, error: BaseException | None) -> None:
        """Tell that the call ended, and before that, that the attempt that was under way is cut."""
        if error is not None and self._started is not None:
            self.told(self._attempt, None, error, None, None)
        followers, self._followers = self._followers, []
        tell(reversed(followers), "on_end", error)  # what the first one opened is closed last


def error_name(error: BaseException) -> str:
    """Return the name under which records show an error."""
    name = type(error).__name__
    return _SHOWN_AS.get(name, name)


def _checked(follower: CallHooks, headers: Mapping[str, str]) -> Mapping[str, str]:
    try:
        return RequestOptions(headers=headers).headers
    except ConfigurationError:
        complain("on_send", follower)
        return {}


def _split(url: str, template: str) -> tuple[str, str]:
    """Return what is before the path template in the URL of a token request, and the template.

    An endpoint of its own that does not end as the template does is shown as it is, unless ids may be in it.
    """
    origin, path, pattern = origin_of(url).rstrip("/"), urlsplit(url).path, template.split("/")[1:]
    before, own = path.split("/")[: -len(pattern)], path.split("/")[-len(pattern) :]
    if before and all(known == part or known.startswith("{") for known, part in zip(pattern, own, strict=True)):
        return origin + "/".join(before), template
    return origin, template if "{" in template else path


@lru_cache(maxsize=64)
def _place_of(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
