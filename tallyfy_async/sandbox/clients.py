"""Registered applications, and the addresses to which a browser may be sent back."""

import hmac
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from attrs import define, field

_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\])(?::\d{1,5})?(?=[/?]|\Z)")
_PLAIN = re.compile(r"[!-~]+\Z")
_SCRIPTS = {"about", "blob", "data", "file", "javascript", "vbscript"}
_PUBLIC_GRANTS = {"authorization_code", "refresh_token"}


@define(kw_only=True)
class Client:
    """A registered application. Change `secret` to rotate it."""

    id: str
    secret: str | None = field(repr=False)
    """None: a public client, such as a desktop program, which can keep no secret."""
    organization: str
    name: str = "Application"
    redirect_uris: tuple[str, ...] = ()

    @property
    def public(self) -> bool:
        """Tell whether the client has no secret."""
        return self.secret is None

    def admits(self, secret: str | None, grant: str) -> bool:
        """Tell whether a token request of this client is authentic. A public client may use the browser's grants."""
        if self.secret is None:
            return grant in _PUBLIC_GRANTS
        return hmac.compare_digest(self.secret.encode(), (secret or "").encode())

    def returns_to(self, uri: str) -> bool:
        """Tell whether a redirect URI is a registered one: character by character, but any port on loopback addresses.

        Source: seed 003 (matches exactly), RFC 8252 section 7.3.
        """
        return _without_port(uri) in {_without_port(known) for known in self.redirect_uris}


def _without_port(uri: str) -> str:
    return _LOOPBACK.sub(r"http://\1", uri, count=1) if _LOOPBACK.match(uri) else uri


def check_redirect_uris(values: Iterable[object]) -> tuple[str, ...]:
    """Check redirect URIs for registration; raise ValueError for what is none, or would run as a script."""
    return tuple(_redirect_uri(value) for value in values)


def _redirect_uri(value: object) -> str:
    if not isinstance(value, str) or not _PLAIN.match(value) or "#" in value:
        raise ValueError("a redirect URI is an absolute URI without blanks and without a fragment")
    parts = urlsplit(value)
    if not parts.scheme or parts.scheme in _SCRIPTS or not (parts.netloc or parts.path):
        raise ValueError("a redirect URI has a scheme that leads to an application")
    return value
