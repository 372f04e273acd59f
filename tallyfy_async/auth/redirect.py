"""Redirects of OAuth: which addresses they may come to, and what they bring.

Addresses are compared as RFC 6749 section 3.1.2 and RFC 8252 section 7 say. What a redirect brings is secret, so it is
kept in Secrets from the start, and nothing here raises where a local variable holds it in the clear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from attrs import field, frozen

from tallyfy_async.errors import ConfigurationError, RedirectError
from tallyfy_async.protocol.origin import is_insecure
from tallyfy_async.protocol.redaction import Secret

LOOPBACK_HOSTS = ("127.0.0.1", "::1")
_MAX_LENGTH = 2**15
_MAX_PARAMETERS = 64
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What an answer says belongs to no registered address, and secrets belong to no address at all.
_RESERVED = frozenset(
    {"code", "state", "iss", "error", "error_description", "access_token", "refresh_token", "token_type", "expires_in"}
    | {"client_secret", "password", "code_verifier"}
)
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+")


@frozen(kw_only=True)
class Answer:
    """What a redirect brought, not yet believed.

    Attributes:
        parameters: every value is kept as a secret, whatever it is.
        in_query: whether they stood in the query, where servers and logs see them; False for the fragment.

    """

    parameters: Mapping[str, Secret] = field(repr=False)
    in_query: bool

    def has(self, name: str) -> bool:
        """Whether the parameter is there, be it empty."""
        return name in self.parameters

    def get(self, name: str) -> Secret | None:
        """Return a parameter; None where it is missing or empty."""
        value = self.parameters.get(name)
        return value if value is not None and value.reveal() else None

    def text(self, name: str) -> str | None:
        """Return a parameter that is no secret, None where it is missing or empty."""
        value = self.get(name)
        return None if value is None else value.reveal()


def checked_redirect_uri(uri: Any, *, allow_private_scheme: bool = False) -> str:
    """Return ``uri`` if codes and tokens may be sent there.

    https is demanded, plain http allowed on loopback, and on request a private-use scheme such as
    ``com.example.app:/callback`` (RFC 8252 section 7.1). Raises ConfigurationError.
    """
    parts = split_url(uri) if isinstance(uri, str) else None
    if parts is None:
        msg = "redirect_uri must be an absolute URL without user, white space, control characters or backslashes"
        raise ConfigurationError(msg)
    if "#" in uri or _RESERVED & {name for name, _ in _pairs(parts.query) or ()}:
        msg = "redirect_uri must not carry a fragment, or parameters that belong to the answer"
        raise ConfigurationError(msg)
    private = allow_private_scheme and _PRIVATE_SCHEME.fullmatch(parts.scheme) is not None
    web = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and not is_insecure(uri)
    if not private and not web:
        msg = "redirect_uri must be https, or http on loopback (allow_private_scheme=True permits com.example.app:/…)"
        raise ConfigurationError(msg)
    return str(uri)


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL; None for what browsers and servers might read in different ways."""
    if len(url) > _MAX_LENGTH or "\\" in url or any(sign.isspace() or not sign.isprintable() for sign in url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        return None
    return None if "@" in parts.netloc else parts


def read_redirect(redirect: Secret, redirect_uri: str) -> Answer | str:
    """Return what a redirect to ``redirect_uri`` brought, or in words why it cannot be one. Nothing is raised."""
    parts, registered = split_url(redirect.reveal()), split_url(redirect_uri)
    if parts is None or registered is None:
        return "it is no URL that everybody reads in the same way"
    if _place(parts) != _place(registered):
        return (
            "it came to another address than the redirect URI (behind a proxy, pass the address that the browser saw)"
        )
    found = _parameters(parts, registered)
    if isinstance(found, str):
        return found
    return Answer(parameters={name: Secret(value) for name, value in found}, in_query=not parts.fragment)


def _parameters(parts: SplitResult, registered: SplitResult) -> list[tuple[str, str]] | str:
    """Return the parameters of the answer, without those of the registered address; in words why there are none."""
    query, fragment = _pairs(parts.query), _pairs(parts.fragment)
    if query is None or fragment is None:
        return "its parameters cannot be read"
    for pair in _pairs(registered.query) or ():
        if pair not in query:
            return "it came without the query of the redirect URI"
        query.remove(pair)
    if query and parts.fragment:
        return "it carries parameters in both query and fragment"
    found = query or fragment
    return found if len({name for name, _ in found}) == len(found) else "it carries a parameter twice"


def _place(parts: SplitResult) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path; the port of a loopback address may vary (RFC 8252 section 7.3)."""
    host = parts.hostname or ""
    port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    any_port = parts.scheme == "http" and host in LOOPBACK_HOSTS
    return parts.scheme, host, None if any_port else port, parts.path or ("/" if host else "")


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """Return names and values of a query or fragment, None where it cannot be read."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError:  # also a UnicodeDecodeError, which would carry the text
        return None


def safe_return_path(path: str) -> str:
    r"""Return ``path`` if it is a path on one's own site, to send a user back to after the login.

    Keep such a path in the session beside the exported request; it never belongs into the state. Raises RedirectError
    for everything that a browser might take for another site: ``//evil``, ``https:evil``, ``\\evil``.
    """
    parts = split_url(path)
    own = path.startswith("/") and not path.startswith("//")
    if parts is None or not own or parts.scheme or parts.netloc:
        msg = "the address to return to is no path on this site"
        raise RedirectError(msg)
    return path
