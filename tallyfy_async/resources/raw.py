"""Requests that no method covers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.migration import refuse
from tallyfy_async.protocol.operation import Operation


def raw_operation(method: Any, path: Any) -> Operation:
    """Return the operation that a raw request is: GET, HEAD and OPTIONS are safe to send again, the rest are writes.

    Raises EndpointRenamedError or EndpointRemovedError for the paths that seed 000 lists, ConfigurationError for
    what is no method or no plain path.
    """
    if not isinstance(method, str) or not (method.isascii() and method.isalpha()):
        msg = "method must be an HTTP method such as GET"
        raise ConfigurationError(msg)
    if not isinstance(path, str) or not _is_plain(path):
        msg = "path must be a plain path below base_url; query parameters go into params"
        raise ConfigurationError(msg)
    template = quote("/" + path.lstrip("/"), safe="/%:@!$&'()*+,;=~").replace("{", "%7B")
    refuse(method.upper(), template)
    return Operation(
        id="request", method=method.upper(), path=template, scopes="unknown", call="client.request", confidence="raw"
    )


def _is_plain(path: str) -> bool:
    """Whether a path stays below the base URL, also when the server decodes it."""
    leaves = "://" in path or path.startswith("//") or {".", ".."} & set(unquote(path).split("/"))
    return not leaves and path.isprintable() and not set("?#") & set(path)
