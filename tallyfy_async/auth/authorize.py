"""The browser's part of a login: the address to send the user to, and the redirect that comes back. No I/O.

The authorization code flow with PKCE is the one to use. The implicit flow of seed 003 is legacy: the token travels in
an address, cannot be bound to the request by PKCE and cannot be refreshed (RFC 9700 section 2.1.2).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, Self, SupportsIndex
from urllib.parse import quote, urlencode

from attrs import Attribute, define, field, setters

from tallyfy_async.auth.logins import AuthorizationCode, ImplicitToken
from tallyfy_async.auth.oauth_client import (
    AUTHORIZE_URL,
    SecretSource,
    filled,
    filled_or_none,
    fits_header,
    to_secret_source,
)
from tallyfy_async.auth.redirect import Answer, checked_redirect_uri, read_redirect, split_url
from tallyfy_async.auth.reply import read_lifetime
from tallyfy_async.errors import ConfigurationError, RedirectError
from tallyfy_async.protocol.origin import checked_url, origin_of
from tallyfy_async.protocol.redaction import Secret, redact
from tallyfy_async.telemetry import logger

MAX_AGE = 600.0
"""Seconds for which a request can be answered."""
_STATE_BYTES, _VERIFIER_BYTES = 32, 64
_STATE = re.compile(r"[A-Za-z0-9_-]{22,128}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_SHOWN = 200
_VERSION = 1
_SECRETS = frozenset({"state", "verifier"})

Flow = Literal["code", "implicit"]


def _random_state() -> Secret:
    return Secret(secrets.token_urlsafe(_STATE_BYTES))


def _random_verifier() -> Secret:
    return Secret(secrets.token_urlsafe(_VERIFIER_BYTES))


def _checked_authorize_url(url: str) -> str:
    return checked_url("authorize_url", url)


def is_flow(_instance: Any, _attribute: Attribute[Any], value: Any) -> None:
    """Refuse everything but the names of the flows."""
    if value not in {"code", "implicit"}:
        msg = "flow must be code or implicit"
        raise ConfigurationError(msg)


def _moment(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) not in {int, float}:
        msg = f"{attribute.name} must be a number of epoch seconds"
        raise ConfigurationError(msg)


def _unguessable(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Secret) or _STATE.fullmatch(value.reveal()) is None:
        msg = f"{attribute.name} must be a random text of at least 128 bits"
        raise ConfigurationError(msg)


def _fits_flow(instance: AuthorizationRequest, attribute: Attribute[Any], value: Any) -> None:
    if instance.flow == "implicit" and value is None:
        return
    if not isinstance(value, Secret) or _VERIFIER.fullmatch(value.reveal()) is None:
        msg = f"{attribute.name} must be a random text of 43 to 128 unreserved characters"
        raise ConfigurationError(msg)


@define(kw_only=True, eq=False, repr=False, on_setattr=setters.frozen)
class AuthorizationRequest:
    """One request to log in, from the address to visit to the redirect that answers it.

    Make it with :meth:`code` or :meth:`implicit`, send the user to :attr:`url`, and give the address of the redirect to
    :meth:`redeem`, once and within :data:`MAX_AGE` seconds. A web service keeps it between two HTTP requests with
    :meth:`export` and :meth:`restore`. It is neither copied nor pickled.

    Attributes:
        flow: ``code`` or ``implicit``.
        client_id: given by Tallyfy's support.
        redirect_uri: registered for the client; compared exactly, but for the port of 127.0.0.1 and [::1].
        authorize_url: where users log in.
        scope: the scopes asked for, ``*`` for all, None to leave the parameter out.
        issuer: what ``iss`` must be where the redirect has one (RFC 9207); None demands the origin of
            ``authorize_url``.
        require_state: refuse a redirect without a state. A wrong one is refused in any case. Seed 003's own example
            has none; without it, anybody can make your users work in an account that is not theirs.
        created_at: wall time in epoch seconds.

    """

    flow: Flow = field(validator=is_flow)
    client_id: str = field(validator=filled)
    redirect_uri: str = field()
    authorize_url: str = field(default=AUTHORIZE_URL, converter=_checked_authorize_url)
    scope: str | None = field(default="*", validator=filled_or_none)
    issuer: str | None = field(default=None, validator=filled_or_none)
    require_state: bool = True
    allow_private_scheme: bool = False
    created_at: float = field(validator=_moment)
    state: Secret = field(factory=_random_state, validator=_unguessable)
    verifier: Secret | None = field(default=None, validator=_fits_flow)
    client_secret: Secret | Callable[[], str | Secret] | None = field(
        default=None, converter=to_secret_source, validator=filled_or_none
    )
    _used: bool = field(default=False, init=False, on_setattr=setters.NO_OP)

    def __attrs_post_init__(self) -> None:
        checked_redirect_uri(self.redirect_uri, allow_private_scheme=self.allow_private_scheme)

    @classmethod
    def code(
        cls,
        *,
        client_id: str,
        redirect_uri: str,
        client_secret: SecretSource | None = None,
        authorize_url: str = AUTHORIZE_URL,
        scope: str | None = "*",
        issuer: str | None = None,
        require_state: bool = True,
        allow_private_scheme: bool = False,
        now: float | None = None,
    ) -> Self:
        """Return a request for an authorization code, always with PKCE by S256 (RFC 7636).

        ``client_secret`` is only handed on to the grant that :meth:`redeem` returns: the address is made of other
        fields. ``now`` is the wall time in epoch seconds. Raises ConfigurationError.
        """
        client_secret = to_secret_source(client_secret)  # what cls() may raise must not show it
        return cls(
            flow="code",
            client_id=client_id,
            redirect_uri=redirect_uri,
            client_secret=client_secret,
            authorize_url=authorize_url,
            scope=scope,
            issuer=issuer,
            require_state=require_state,
            allow_private_scheme=allow_private_scheme,
            created_at=_now(now),
            verifier=_random_verifier(),
        )

    @classmethod
    def implicit(
        cls,
        *,
        client_id: str,
        redirect_uri: str,
        authorize_url: str = AUTHORIZE_URL,
        scope: str | None = "*",
        issuer: str | None = None,
        require_state: bool = True,
        allow_private_scheme: bool = False,
        now: float | None = None,
    ) -> Self:
        """Return a request for a token by the legacy implicit flow (seed 003). Raises ConfigurationError."""
        return cls(
            flow="implicit",
            client_id=client_id,
            redirect_uri=redirect_uri,
            authorize_url=authorize_url,
            scope=scope,
            issuer=issuer,
            require_state=require_state,
            allow_private_scheme=allow_private_scheme,
            created_at=_now(now),
        )

    def __repr__(self) -> str:
        return f"<AuthorizationRequest {self.flow}, client {self.client_id}, to {self.redirect_uri}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        msg = "an AuthorizationRequest is used once, so it is neither copied nor pickled: export() and restore() it"
        raise TypeError(msg)

    @property
    def url(self) -> str:
        """The address to send the user to. It holds the state and the hash of the verifier, but no secret."""
        parameters = {
            "client_id": self.client_id,
            "response_type": "code" if self.flow == "code" else "token",
            "redirect_uri": self.redirect_uri,
            "state": self.state.reveal(),
        }
        if self.scope is not None:
            parameters["scope"] = self.scope
        if self.verifier is not None:
            parameters |= {"code_challenge": _challenge(self.verifier), "code_challenge_method": "S256"}
        return f"{self.authorize_url}?{urlencode(parameters, quote_via=quote)}"

    def recognizes(self, redirect_url: str | Secret) -> bool:
        """Whether an address is a well-formed redirect that carries this request's state. Nothing is used up."""
        answer = read_redirect(_address(redirect_url), self.redirect_uri)
        return isinstance(answer, Answer) and self._state_problem(answer) is None

    def redeem(self, redirect_url: str | Secret, *, now: float | None = None) -> AuthorizationCode | ImplicitToken:
        """Return the grant that a redirect brought: AuthorizationCode, or ImplicitToken in the implicit flow.

        ``redirect_url`` is the whole address as the browser saw it, ``now`` the wall time in epoch seconds. The first
        redirect with the right state uses the request up, whatever else it says. Nothing is sent. Raises
        RedirectError; the server's words in it are data: escape them before you show them as HTML.
        """
        redirect_url = _address(redirect_url)
        moment = _now(now)
        self._check_open(moment)
        answer = read_redirect(redirect_url, self.redirect_uri)
        problem = answer if isinstance(answer, str) else self._state_problem(answer)
        if isinstance(answer, str) or problem is not None:
            msg = f"the redirect is refused: {problem}"
            raise RedirectError(msg)
        self._used = True
        self._check_issuer(answer)
        _check_contents(answer, "code" if self.flow == "code" else "access_token")
        return self._code(answer) if self.flow == "code" else self._token(answer, moment)

    def export(self) -> dict[str, Any]:
        """Return the request as JSON values, **state and verifier in the clear**, for the session of one browser.

        Delete it there when the redirect comes, before :meth:`redeem`: that is what makes it work once. The client
        secret is not in it. Raises RedirectError for a request that was used.
        """
        if self._used:
            raise RedirectError(_USED)
        named = {name: getattr(self, name) for name in _EXPORTED}
        clear = {name: value.reveal() if isinstance(value, Secret) else value for name, value in named.items()}
        return {"version": _VERSION, **clear}

    @classmethod
    def restore(cls, exported: Mapping[str, Any], *, client_secret: SecretSource | None = None) -> Self:
        """Return the request that :meth:`export` gave; a code request of a confidential client needs its secret again.

        Raises ConfigurationError, without a value in its message, for what :meth:`export` cannot have given.
        """
        exported = _masked(exported)
        client_secret = to_secret_source(client_secret)
        if exported.get("version") != _VERSION or exported.keys() != {"version", *_EXPORTED}:
            msg = "this is no authorization request that this version has exported"
            raise ConfigurationError(msg)
        return cls(client_secret=client_secret, **{name: exported[name] for name in _EXPORTED})

    def _check_open(self, now: float) -> None:
        if self._used:
            raise RedirectError(_USED)
        # A clock that was set back makes no request immortal.
        if abs(now - self.created_at) > MAX_AGE:
            msg = f"the request is older than {MAX_AGE:.0f} s: start the login again"
            raise RedirectError(msg)

    def _state_problem(self, answer: Answer) -> str | None:
        state = answer.parameters.get("state")
        if state is None:
            return "it carries no state (require_state=False permits that)" if self.require_state else None
        return None if state == self.state else "its state is not the one of this request"

    def _check_issuer(self, answer: Answer) -> None:
        said = answer.text("iss")
        if said is None:
            return
        if self.issuer is None:
            parts = split_url(said)
            same = parts is not None and origin_of(said.lower()) == origin_of(self.authorize_url.lower())
        else:
            same = said == self.issuer
        if not same:
            msg = "the redirect is refused: it comes from another authorization server (iss) than the one asked"
            raise RedirectError(msg)

    def _code(self, answer: Answer) -> AuthorizationCode:
        code = answer.parameters["code"]
        if not answer.in_query or not _is_code(code):
            msg = "the redirect is refused: its code is empty, unreadable, or in the fragment"
            raise RedirectError(msg)
        return AuthorizationCode(
            client_id=self.client_id,
            client_secret=self.client_secret,
            code=code,
            redirect_uri=self.redirect_uri,
            verifier=self.verifier,
            scope=self.scope,
        )

    def _token(self, answer: Answer, now: float) -> ImplicitToken:
        token, kind = answer.parameters["access_token"], answer.text("token_type")
        if not fits_header(token) or (kind is not None and kind.lower() != "bearer"):
            msg = "the redirect is refused: its token is no Bearer token that a header can carry"
            raise RedirectError(msg)
        if answer.in_query:
            logger.warning(
                "the access token came in the query of the redirect: the browser's history and every server on the way "
                "keep it; ask Tallyfy's support for the code flow"
            )
        return ImplicitToken(
            client_id=self.client_id,
            access_token=token,
            lifetime=read_lifetime(answer.text("expires_in")),
            issued_at=now,
            scope=answer.text("scope") or self.scope,
        )


_EXPORTED = (
    "flow",
    "client_id",
    "redirect_uri",
    "authorize_url",
    "scope",
    "issuer",
    "require_state",
    "allow_private_scheme",
    "created_at",
    "state",
    "verifier",
)
_USED = "this request was answered already: start the login again"


def _now(now: float | None) -> float:
    return time.time() if now is None else now


def _address(redirect_url: Any) -> Secret:
    if not isinstance(redirect_url, str | Secret):
        msg = "redirect_url must be the address of the redirect as text"
        raise ConfigurationError(msg)
    return Secret.of(redirect_url)


def _challenge(verifier: Secret) -> str:
    """Return the code challenge of RFC 7636 section 4.2; there is no fallback to ``plain``."""
    digest = hashlib.sha256(verifier.reveal().encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _masked(exported: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: Secret(value) if name in _SECRETS and isinstance(value, str) else value
        for name, value in exported.items()
    }


def _is_code(code: Secret) -> bool:
    text = code.reveal()
    return bool(text.strip()) and text.isascii() and text.isprintable()


def _check_contents(answer: Answer, expected: str) -> None:
    """Demand exactly the credential that was asked for, because another one could be injected.

    Raises RedirectError, for the server's refusal in its own words as far as they are harmless.
    """
    found = [name for name in ("code", "access_token", "error") if answer.has(name)]
    if found == ["error"]:
        error, description = (_plain(answer.text(name) or "") for name in ("error", "error_description"))
        what = "the user or the server denied access" if error == "access_denied" else "the server refused the login"
        msg = f"{what}: {': '.join(filter(None, (error, description))) or 'no reason given'}"
        raise RedirectError(msg)
    if found != [expected]:
        msg = f"the redirect is refused: it must bring {expected} alone, not {' and '.join(found) or 'nothing'}"
        raise RedirectError(msg)


def _plain(text: str) -> str:
    """Return one short line without control characters, directions of writing and secrets."""
    return redact("".join(sign if sign.isprintable() else " " for sign in text[:_SHOWN])).strip()
