"""Personal access tokens, which nobody has to ask for."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Attribute, field, frozen

from tallyfy_async.auth.oauth_client import Grant, fingerprint, fits_header, to_masked
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.redaction import Secret


def _is_token(_instance: Any, _attribute: Attribute[Any], value: Any) -> None:
    if not fits_header(value):
        msg = "the personal access token is empty or holds white space: copy it again from Tallyfy's settings"
        raise ConfigurationError(msg)


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
