"""Logins made with a browser: the code or token that the redirect brought, and the login found again later."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Attribute, evolve, field, frozen

from tallyfy_async.auth.oauth_client import (
    ASK_FOR_TOKEN,
    Grant,
    OAuthClient,
    TokenRequest,
    filled,
    filled_or_none,
    fingerprint,
    fits_header,
    to_masked,
)
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.protocol.scopes import parse_scope


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
        return Token.to_trade_in(self.code, wall)

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


def _header_word(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not fits_header(value):
        msg = f"{attribute.name} is empty or holds characters that no header can carry"
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
