"""What every grant is: the requests that it makes, and the registered client behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import urlencode

from attrs import Attribute, field, frozen

from tallyfy_async.auth.token import Token
from tallyfy_async.errors import AuthError, ConfigurationError
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.redaction import Secret

AUTHORIZE_URL = "https://account.tallyfy.com/oauth/authorize"
"""Where users log in with a browser (seed 003)."""

AUTHORIZE = Operation(
    id="authorize",
    method="GET",
    path="/oauth/authorize",
    scopes="none",
    call="tallyfy_async.AuthorizationRequest",
    confidence="documented",
)
ASK_FOR_TOKEN = Operation(
    id="create_token",
    method="POST",
    path="/oauth/token",
    scopes="none",
    call="tallyfy_async.PasswordGrant",
    # Asking twice harms nobody: the first token is simply not used.
    safety=Safety.SAFE,
)
REFRESH_TOKEN = Operation(
    id="refresh_token",
    method="POST",
    path="/oauth/token/refresh",
    scopes="none",
    call="tallyfy_async.RefreshToken",
    safety=Safety.ANSWERED,
    confidence="documented",
)
ASK_FOR_USER_TOKEN = Operation(
    id="create_application_user_token",
    method="POST",
    path="/applications/{org}/users/{email}/token",
    scopes="organization",
    call="tallyfy_async.OnBehalfOf",
    safety=Safety.SAFE,
    confidence="documented",
)

Parameters = Mapping[str, str | Secret]
SecretSource = str | Secret | Callable[[], str | Secret]


@frozen(kw_only=True)
class TokenRequest:
    """One request for a token.

    Attributes:
        operation: what is asked for; whether it may be repeated is its ``safety``.
        url: a whole address, or a path below ``base_url``; None for the endpoint that belongs to the operation.
        headers: extra headers.
        content: the encoded body, None for none.
        content_type: how it is encoded.
        scope: the scopes asked for, None where the request names none.
        application: the grant whose token the request carries, None where it carries none.

    """

    operation: Operation
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    content: bytes | None = field(default=None, repr=False)
    content_type: str
    scope: str | None = None
    application: OAuthClient | None = None

    @property
    def spends(self) -> bool:
        """Whether it trades in something that works once: a refresh token or an authorization code."""
        return self.operation.safety is Safety.ANSWERED


class Grant(Protocol):
    """What the token manager asks of a way to a token; subclasses change what differs."""

    name: ClassVar[str]
    """The grant's name, for messages."""
    renewable: ClassVar[bool] = True
    """Whether there is anything to do when a token ends; where there is not, it is used up to its last moment."""

    @property
    def replays(self) -> bool:
        """Whether a refresh token whose answer was lost may be sent once more."""
        return False

    @property
    def tenant(self) -> str | None:
        """The id of the one organization that its tokens are for, None where the grant does not know."""
        return None

    @property
    def oauth_client(self) -> OAuthClient | None:
        """The registered client that asks for the tokens, None where there is none."""
        return None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Addresses of its own, beside the token endpoint, that token requests go to."""
        return ()

    def identity(self) -> tuple[str, ...]:
        """Return client, grant, user, organization and scope: what tells its tokens from others, without secrets."""
        ...

    def ready(self, wall: float) -> Token | None:
        """Return the record that the grant starts with, possibly expired; None where there is none."""
        del wall
        return None

    def first(self) -> TokenRequest | None:
        """Return the request that brings a token from nothing, None where there is none."""
        return None

    def refresh(self, token: Token) -> TokenRequest | None:
        """Return the request that renews ``token``, None where it cannot be renewed."""
        del token
        return None


def to_masked(value: str | Secret) -> Secret:
    """Return a text as a Secret; what is no text passes, so that a validator can refuse it by its name."""
    return Secret(value) if isinstance(value, str) else value


def to_secret_source(value: SecretSource | None) -> Secret | Callable[[], str | Secret] | None:
    """Return a client secret masked; callables and None pass."""
    return value if value is None or callable(value) else to_masked(value)


def _is_filled(value: Any) -> bool:
    """Whether a value is a text that is not empty and that UTF-8 can carry; it stays out of the caller's variables."""
    text = value.reveal() if isinstance(value, Secret) else value
    return isinstance(text, str) and bool(text.strip()) and not any("\ud800" <= letter <= "\udfff" for letter in text)


def fits_header(value: Any) -> bool:
    """Whether a Secret is one word of printable ASCII."""
    return isinstance(value, Secret) and _is_word(value.reveal())


def _is_word(text: str) -> bool:
    return bool(text) and all("!" <= letter <= "~" for letter in text)


def fingerprint(secret: Secret) -> str:
    """Return 16 hex digits that tell this secret from others."""
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:16]


def filled(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Refuse everything but texts that are not empty, and callables that may return one."""
    if not callable(value) and not _is_filled(value):
        msg = f"{attribute.name} must be a text that is not empty"
        raise ConfigurationError(msg)


def filled_or_none(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    """Refuse what :func:`filled` refuses, None apart."""
    if value is not None:
        filled(instance, attribute, value)


def _one_of(*words: str) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if value not in words:
            msg = f"{attribute.name} must be one of {', '.join(words)}"
            raise ConfigurationError(msg)

    return check


def _needed(instance: OAuthClient, attribute: Attribute[Any], value: Any) -> None:
    if value is not None or not instance.may_be_public:
        filled(instance, attribute, value)


@frozen(kw_only=True)
class OAuthClient(Grant):
    """What every grant of a registered client shares.

    Attributes:
        client_id: given by Tallyfy's support.
        client_secret: a text, or a callable that returns the current one where secrets are rotated; None for a public
            client, where the grant permits it.
        scope: scopes to ask for, ``*`` for all, None to leave the parameter out. A refresh never carries one.
        encoding: body of the token request: ``form`` (seeds 001 and 002) or ``json`` (seed 000).
        client_auth: where id and secret travel: in the ``body`` (seeds 001, 002) or as ``headers`` (seed 000).
        replay_refresh: send a refresh token once more when the answer to it was lost. Only for servers that grant a
            grace time for rotated refresh tokens; others take a second use for theft.

    """

    name: ClassVar[str] = "refresh_token"
    may_be_public: ClassVar[bool] = False

    client_id: str = field(validator=filled)
    client_secret: Secret | Callable[[], str | Secret] | None = field(converter=to_secret_source, validator=_needed)
    scope: str | None = field(default="*", validator=filled_or_none)
    encoding: Literal["form", "json"] = field(default="form", validator=_one_of("form", "json"))
    client_auth: Literal["body", "headers"] = field(default="body", validator=_one_of("body", "headers"))
    replay_refresh: bool = False

    @property
    def replays(self) -> bool:
        """What ``replay_refresh`` says."""
        return self.replay_refresh

    @property
    def oauth_client(self) -> OAuthClient:
        """This client itself."""
        return self

    def identity(self) -> tuple[str, ...]:
        """Return client, grant, user, organization and scope."""
        return self.client_id, self.name, self._user(), "", self.scope or ""

    def refresh(self, token: Token) -> TokenRequest | None:
        """Return the refresh request, without a scope; None where the token has no refresh token."""
        if token.refresh_token is None:
            return None
        form: Parameters = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
        return self._request(REFRESH_TOKEN, form)

    def _user(self) -> str:
        return ""

    def _grant(self, parameters: Parameters, operation: Operation = ASK_FOR_TOKEN) -> TokenRequest:
        scope: Parameters = {} if self.scope is None else {"scope": self.scope}
        return self._request(operation, {"grant_type": self.name, **parameters, **scope}, self.scope)

    def _request(self, operation: Operation, parameters: Parameters, scope: str | None = None) -> TokenRequest:
        client: Parameters = {"client_id": self.client_id, **self._current_secret()}
        in_body = self.client_auth == "body"
        if not in_body and not all(fits_header(Secret.of(value)) for value in client.values()):
            msg = 'client_id and client_secret must be printable ASCII without spaces where client_auth is "headers"'
            raise ConfigurationError(msg)
        return TokenRequest(
            operation=operation,
            headers=() if in_body else tuple(_revealed(client).items()),
            content=_encode({**parameters, **client} if in_body else parameters, self.encoding),
            content_type="application/json" if self.encoding == "json" else "application/x-www-form-urlencoded",
            scope=scope,
        )

    def _current_secret(self) -> Parameters:
        """Return the client secret as a parameter; nothing for a public client."""
        if self.client_secret is None:
            return {}
        if not callable(self.client_secret):
            return {"client_secret": self.client_secret}
        try:
            secret = to_masked(self.client_secret())
        except Exception as error:  # noqa: BLE001 - whatever a secret manager raises
            msg = f"client_secret could not be had: the callable raised {type(error).__name__}"
            raise AuthError(msg) from error.with_traceback(None)
        if not _is_filled(secret):
            msg = "client_secret must be a text that is not empty, also where a callable returns it"
            raise ConfigurationError(msg)
        return {"client_secret": secret}


def _revealed(parameters: Parameters) -> dict[str, str]:
    return {name: Secret.of(value).reveal() for name, value in parameters.items()}


def _encode(parameters: Parameters, encoding: str) -> bytes:
    clear = _revealed(parameters)
    return (json.dumps(clear) if encoding == "json" else urlencode(clear)).encode()
