"""From the errors of httpx and of sockets to ours."""

from __future__ import annotations

import anyio
import httpx

from tallyfy_async.errors import ConfigurationError, NotSentError, RequestTimeoutError, TransportError
from tallyfy_async.transport.exchange import Progress

FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, anyio.BrokenResourceError, RuntimeError)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol)


def translate(error: Exception, progress: Progress | None) -> TransportError | ConfigurationError:
    """Return our error for a foreign one; ``progress`` tells of a write how far it got."""
    name = type(error).__name__
    if isinstance(error, _UNUSABLE):
        return ConfigurationError(f"the URL cannot be used: {name}")
    if isinstance(error, _UNSENT) or (progress is not None and not progress.may_have_landed):
        return NotSentError(f"nothing was sent: {name}")
    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError(f"no reply in time: {name}")
    return TransportError(f"the exchange broke: {name}")


def quiet(error: BaseException) -> BaseException:
    """Strip a foreign error and its chain of tracebacks and requests, whose locals and headers hold the token."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        if isinstance(link, httpx.RequestError):
            vars(link)["_request"] = None  # the public setter takes no None
        link = link.__cause__ or link.__context__
    return error
