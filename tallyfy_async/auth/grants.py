"""The grants of a registered client that need no browser: what each sends, and whether it can be repeated."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from tallyfy_async.auth.oauth_client import OAuthClient, TokenRequest, filled, fingerprint, to_masked
from tallyfy_async.auth.token import Token
from tallyfy_async.protocol.redaction import Secret


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
        return Token.to_trade_in(self.refresh_token, wall)

    def _user(self) -> str:
        return fingerprint(self.refresh_token)
