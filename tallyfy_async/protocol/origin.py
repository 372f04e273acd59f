"""Where tokens may go: base URLs and their origins."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from tallyfy_async.errors import ConfigurationError


def checked_url(name: str, url: str, *, allow_insecure_http: bool = False) -> str:
    """Return ``url`` with scheme and host in lower case, if a token may be sent there.

    https is demanded, plain http allowed on loopback and, on request, elsewhere. Credentials, query and fragment do not
    belong into such a URL. Raises ConfigurationError naming ``name``.
    """
    parts = _split(name, url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{name} must be an absolute http(s) URL such as https://go.tallyfy.com/api"
        raise ConfigurationError(msg)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        msg = f"{name} must not carry user, password, query or fragment"
        raise ConfigurationError(msg)
    if is_insecure(url) and not allow_insecure_http:
        msg = f"{name} must be https: tokens would travel in the clear (allow_insecure_http=True permits it)"
        raise ConfigurationError(msg)
    return urlunsplit(parts._replace(netloc=parts.netloc.lower(), path=parts.path or "/"))


def checked_base(name: str, url: str, *, allow_insecure_http: bool = False) -> str:
    """Return what :func:`checked_url` returns without a slash at the end: paths are put behind it."""
    return checked_url(name, url, allow_insecure_http=allow_insecure_http).rstrip("/")


def _split(name: str, url: Any) -> SplitResult:
    if not isinstance(url, str):
        msg = f"{name} must be a str, not {type(url).__name__}"
        raise ConfigurationError(msg)
    if any(character.isspace() or not character.isprintable() for character in url):
        msg = f"{name} must not contain white space or control characters"
        raise ConfigurationError(msg)
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        msg = f"{name} is no valid URL"
        raise ConfigurationError(msg) from None
    return parts


def is_insecure(url: str) -> bool:
    """Whether the URL is plain http to a host other than loopback."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(url: str) -> str:
    """Return ``scheme://host[:port]/``; a URL belongs to the origin exactly if it starts with that."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"
