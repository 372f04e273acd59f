"""The ways to a token: what each grant sends, and whether it can be repeated."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Attribute, evolve, field, frozen

from tallyfy_async.auth.oauth_client import (
    ASK_FOR_TOKEN,
    ASK_FOR_USER_TOKEN,
    Grant,
    OAuthClient,
    TokenRequest,
    filled,
    filled_or_none,
    fingerprint,
    fits_header,
    to_masked,
)
from tallyfy_async.auth.token import EMPTY, Token
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.protocol.scopes import parse_scope


@frozen(kw_only=True)
class PasswordGrant(OAuthClient):
    """The password grant: a token with the full rights of a user (seed 002).

    Attributes:
        username: the user's email address.
        password: the user's password.

    """

    name: ClassVar[str] = "password"

    username: str = field(validator=filled)
    password: Secret = field(converter=to_masked, validator=filled)

    def first(self) -> TokenRequest:
        """Return the login."""
        return self._grant({"username": self.username, "password": self.password})

    def _user(self) -> str:
        return self.username


@frozen(kw_only=True)
class ClientCredentials(OAuthClient):
    """The client credentials grant: an application token (seed 001). Most operations need a user token instead."""

    name: ClassVar[str] = "client_credentials"

    def first(self) -> TokenRequest:
        """Return the request for an application token."""
        return self._grant({})


@frozen(kw_only=True)
class RefreshToken(OAuthClient):
    """A refresh token from an earlier login.

    It is the start of the line only: servers rotate refresh tokens, so keep a token store to survive a restart.
    """

    may_be_public: ClassVar[bool] = True

    refresh_token: Secret = field(converter=to_masked, validator=filled)

    def ready(self, wall: float) -> Token:
        """Return an expired record that holds the refresh token, as if it had been read from a store."""
        return _to_trade_in(self.refresh_token, wall)

    def _user(self) -> str:
        return fingerprint(self.refresh_token)


def _to_trade_in(once: Secret, wall: float) -> Token:
    return Token(access_token=EMPTY, refresh_token=once, issued_at=wall, lifetime=0.0, generation=0)


@frozen(kw_only=True)
class StoredLogin(OAuthClient):
    """A login that was made earlier, with a browser, and is found in the token store.

    Attributes:
        login: name of the login in the store, :attr:`AuthorizationCode.login` or one of your own choice under which a
            token was put there by ``client.tokens.adopt(token)``.

    """

    name: ClassVar[str] = "login"
    may_be_public: ClassVar[bool] = True

    login: str = field(validator=filled)

    def _user(self) -> str:
        return self.login


def _masked_or_none(value: str | Secret | None) -> Secret | None:
    return None if value is None else to_masked(value)


@frozen(kw_only=True)
class AuthorizationCode(OAuthClient):
    """The authorization code grant, from the code on (RFC 6749 section 4.1.3, RFC 7636).

    The code is traded in once, whoever shares the store; then the line lives on its refresh tokens. After a restart it
    is found again with ``StoredLogin(login=code_grant.login, …)``. Made by :meth:`AuthorizationRequest.redeem`.

    Attributes:
        code: what the redirect brought.
        redirect_uri: the one of the authorization request.
        verifier: the PKCE verifier of the authorization request.

    """

    name: ClassVar[str] = "authorization_code"
    may_be_public: ClassVar[bool] = True
    _TRADE_IN: ClassVar[Operation] = evolve(ASK_FOR_TOKEN, safety=Safety.ANSWERED)

    code: Secret = field(converter=to_masked, validator=filled)
    redirect_uri: str = field(validator=filled)
    verifier: Secret | None = field(default=None, converter=_masked_or_none, validator=filled_or_none)

    @property
    def login(self) -> str:
        """The name of this login in a token store: 16 hex digits, no secret."""
        return fingerprint(self.code)

    def identity(self) -> tuple[str, ...]:
        """Return what a StoredLogin of the same name returns, so that it finds the tokens."""
        return self.client_id, StoredLogin.name, self.login, "", self.scope or ""

    def ready(self, wall: float) -> Token:
        """Return an expired record that holds the code in the place of a refresh token: both work once."""
        return _to_trade_in(self.code, wall)

    def refresh(self, token: Token) -> TokenRequest | None:
        """Return the request that trades the code in; later the refresh request. None where neither is left."""
        if token.generation or token.refresh_token is None:
            return super().refresh(token)
        form: dict[str, str | Secret] = {
            "grant_type": self.name,
            "code": token.refresh_token,
            "redirect_uri": self.redirect_uri,
        }
        if self.verifier is not None:
            form["code_verifier"] = self.verifier
        return self._request(self._TRADE_IN, form, self.scope)


def _organization_id(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or "/" in value:
        msg = f"{attribute.name} must be the id of an organization"
        raise ConfigurationError(msg)


def _application(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, ClientCredentials):
        msg = f"{attribute.name} must be ClientCredentials(…), whose token asks for the user's"
        raise ConfigurationError(msg)


@frozen(kw_only=True)
class OnBehalfOf(Grant):
    """A member's token, got by an application with its own token (seed 001).

    Two lines of tokens, each with its own life: the application's, and with it the member's. Neither has a refresh
    token; both are asked for anew.

    Attributes:
        application: the application's credentials.
        organization: id of the organization that the member belongs to and the token is for.
        email: the member's email address.
        url: address of the call, where it is not ``base_url + "/applications/{org}/users/{email}/token"``: seed 001
            leaves its host open. ``{org}`` and ``{email}`` in it are replaced.

    """

    name: ClassVar[str] = "on_behalf_of"

    application: ClientCredentials = field(validator=_application)
    organization: str = field(validator=_organization_id)
    email: str = field(validator=filled)
    url: str | None = field(default=None, validator=filled_or_none)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The address of the call, where one was given."""
        return () if self.url is None else (self._address(),)

    def identity(self) -> tuple[str, ...]:
        """Return client, grant, user, organization and scope."""
        client, _, _, _, scope = self.application.identity()
        return client, self.name, self.email, self.organization, scope

    def first(self) -> TokenRequest:
        """Return the request for the member's token."""
        return TokenRequest(
            operation=ASK_FOR_USER_TOKEN,
            url=self._address(),
            headers=(("X-Tallyfy-Client", "APIClient"),),
            content_type="application/json",
            application=self.application,
        )

    def _address(self) -> str:
        template = evolve(ASK_FOR_USER_TOKEN, path=ASK_FOR_USER_TOKEN.path if self.url is None else self.url)
        return template.url({"org": self.organization, "email": self.email})


def _header_word(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not fits_header(value):
        msg = f"{attribute.name} is empty or holds characters that no header can carry"
        raise ConfigurationError(msg)


def _is_token(_instance: Any, _attribute: Attribute[Any], value: Any) -> None:
    if not fits_header(value):
        msg = "the personal access token is empty or holds white space: copy it again from Tallyfy's settings"
        raise ConfigurationError(msg)


@frozen(kw_only=True)
class ImplicitToken(Grant):
    """The token of an implicit flow (seed 003): it has no refresh token, and its end is known in advance.

    Made by :meth:`AuthorizationRequest.redeem`.

    Attributes:
        client_id: the client that it was issued to.
        access_token: the token.
        issued_at: wall time at which the redirect came, in epoch seconds.
        lifetime: seconds that it lives from then, None where the redirect did not tell.
        scope: the scopes asked for, None where unknown.

    """

    name: ClassVar[str] = "implicit"
    renewable: ClassVar[bool] = False

    client_id: str = field(validator=filled)
    access_token: Secret = field(converter=to_masked, validator=_header_word)
    issued_at: float
    lifetime: float | None = None
    scope: str | None = field(default=None, validator=filled_or_none)

    @property
    def token(self) -> Token:
        """The token as a record, for ``client.tokens.adopt``."""
        return Token(
            access_token=self.access_token,
            issued_at=self.issued_at,
            lifetime=self.lifetime,
            scopes=None if self.scope is None else parse_scope(self.scope),
        )

    def identity(self) -> tuple[str, ...]:
        """Return client, grant, a fingerprint of the token, no organization, and scope."""
        return self.client_id, self.name, fingerprint(self.access_token), "", self.scope or ""

    def ready(self, wall: float) -> Token:
        """Return the token."""
        del wall
        return self.token


@frozen
class StaticToken(Grant):
    """A personal access token from Settings > Integrations > REST API (seed 002); it dies when its user logs out.

    Raises ConfigurationError for an empty text or one with white space.
    """

    token: Secret = field(converter=to_masked, validator=_is_token)

    name: ClassVar[str] = "personal"
    renewable: ClassVar[bool] = False

    def identity(self) -> tuple[str, ...]:
        """Return the kind and a fingerprint of the token."""
        return "", self.name, fingerprint(self.token), "", ""

    def ready(self, wall: float) -> Token:
        """Return the token, whose life is unknown."""
        return Token(access_token=self.token, issued_at=wall)
