"""Members' tokens by an application (seed 001)."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Attribute, evolve, field, frozen

from tallyfy_async.auth.grants import ClientCredentials
from tallyfy_async.auth.oauth_client import ASK_FOR_USER_TOKEN, Grant, TokenRequest, filled, filled_or_none
from tallyfy_async.errors import ConfigurationError


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
    def tenant(self) -> str:
        """The organization."""
        return self.organization

    @property
    def oauth_client(self) -> ClientCredentials:
        """The application."""
        return self.application

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
