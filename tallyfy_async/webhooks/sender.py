"""Who sends a webhook: the organization's header and, because Tallyfy signs nothing, a secret of your own."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.webhooks.refusals import Refusal, refusal

HEADER: Final = "x-tallyfy-orgid"

Place = Literal["path", "query", "basic"]


class SenderCheck:
    """Tells deliveries of the expected organizations from all others.

    ``X-Tallyfy-orgID`` is the only mark of a sender that Tallyfy gives, and whoever knows an organization's id can send
    it (contract: webhooks). A secret in the address that you give to Tallyfy closes that gap: as the last segment of
    the path, ``https://example.com/hooks/SECRET``; in the query, ``…/hooks?secret=SECRET``; or as the password of basic
    authentication, ``https://tallyfy:SECRET@example.com/hooks``. Access logs show paths and queries: keep them out, or
    use basic authentication. Comparisons take the same time whether or not they hold.

    Args:
        organizations: the id, or the ids, that may send.
        secret: a secret, or several of which any will do while you change from one to the next; None for none.
        secret_in: where it stands.
        parameter: the query's name for it.
        header_required: False takes deliveries without the header, because it is not certain that organization-wide
            subscriptions carry it; only with a secret, and for exactly one organization.

    Raises ConfigurationError for arguments that cannot work, such as an empty secret.

    """

    def __init__(
        self,
        organizations: str | Iterable[str],
        *,
        secret: str | Secret | Iterable[str | Secret] | None = None,
        secret_in: Place = "path",  # noqa: S107 - a place, no secret
        parameter: str = "secret",
        header_required: bool = True,
    ) -> None:
        self.organizations = (organizations,) if isinstance(organizations, str) else tuple(organizations or ())
        given = () if secret is None else (secret,) if isinstance(secret, str | Secret) else secret
        self._secrets = tuple(Secret.of(one) for one in given)
        self._place, self._parameter, self._header_required = secret_in, parameter, header_required
        self._check(given_none=secret is None)

    def __repr__(self) -> str:
        place = f", secret in {self._place}" if self._secrets else ""
        return f"<SenderCheck of {len(self.organizations)} organizations{place}>"

    def _check(self, *, given_none: bool) -> None:
        if not self.organizations or not all(_is_text(one) for one in self.organizations):
            msg = "name at least one organization whose webhooks are to be taken"
        elif (not given_none and not self._secrets) or not all(secret.reveal() for secret in self._secrets):
            msg = "a secret must not be empty"
        elif self._place not in {"path", "query", "basic"}:
            msg = "secret_in must be one of path, query, basic"
        elif not self._header_required and (not self._secrets or len(self.organizations) != 1):
            msg = "header_required=False needs a secret, and exactly one organization"
        elif self._place == "path" and any("/" in secret.reveal() for secret in self._secrets):
            msg = "a secret in the path must not hold a slash"
        else:
            return
        raise ConfigurationError(msg)

    def verify(self, *, headers: Iterable[tuple[bytes, bytes]], path: str = "", query: bytes = b"") -> str:
        """Return the id of the organization that sent a request.

        ``headers`` are pairs with names in lower case, as in an ASGI scope; ``path`` is decoded, ``query`` is not.
        Raises WebhookError of kind ``secret`` (401) or ``organization`` (403).
        """
        pairs = list(headers)
        if self._secrets and not _any(self._presented(pairs, path, query), [one.reveal() for one in self._secrets]):
            raise refusal(Refusal.SECRET, "the secret of the webhook's address is missing or wrong")
        sent = [value.decode("latin-1").strip() for name, value in pairs if name.lower() == HEADER.encode()]
        if not sent and not self._header_required:
            return self.organizations[0]
        found = _matching(sent[0], self.organizations) if len(sent) == 1 else None
        if found is None:
            raise refusal(Refusal.ORGANIZATION, "X-Tallyfy-orgID is missing or names an organization not expected here")
        return found

    def _presented(self, headers: Iterable[tuple[bytes, bytes]], path: str, query: bytes) -> str:
        if self._place == "path":
            return path.rstrip("/").rpartition("/")[2]
        if self._place == "query":
            return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)).get(self._parameter, "")
        return _password(next((value for name, value in headers if name.lower() == b"authorization"), b""))


def _is_text(one: Any) -> bool:
    """Tell whether an id can be one: it comes from wherever the caller keeps its settings, so its type is looked at."""
    return isinstance(one, str) and bool(one)


def _password(header: bytes) -> str:
    scheme, _, credentials = header.decode("latin-1").partition(" ")
    try:
        pair = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except ValueError:  # no base64, no ASCII, no UTF-8
        return ""
    return pair.partition(":")[2] if scheme.lower() == "basic" else ""


def _matching(text: str, known: Iterable[str]) -> str | None:
    """Return which of the known texts it is, having compared with all of them."""
    found = [one for one in known if hmac.compare_digest(_bytes(text), _bytes(one))]
    return found[0] if found else None


def _any(text: str, known: Iterable[str]) -> bool:
    return _matching(text, known) is not None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
