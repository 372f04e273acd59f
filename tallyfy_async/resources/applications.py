"""What an application does with its own token."""

from __future__ import annotations

from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.identity import ApplicationUser, ApplicationUserCreate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource

CREATE_USER = Operation(
    id="create_application_user",
    method="POST",
    path="/applications/{org}/users",
    scopes="organization",
    call="client.applications.create_user",
    confidence="documented",
)

_USERS_OWN = frozenset({"authorization_code", "implicit", "login", "password", "personal"})


@frozen(eq=False)
class Applications(Resource):
    """Provisioning by an application. Its calls carry the application's token, also where the client is OnBehalfOf."""

    async def create_user(
        self, organization_id: str, *, options: RequestOptions | None = None, **fields: Unpack[ApplicationUserCreate]
    ) -> ApplicationUser:
        """Provision a member (contract: create_application_user; seed 001).

        It is sent once: IndeterminateError and ServerError mean that the member may exist. Raises ConfigurationError
        where the client holds a user's credential, and for missing or unknown fields, PermissionDeniedError where the
        application belongs to another organization, SeatPoolExhaustedError where no seat is left, ValidationError for
        an email that is taken or of no valid domain.
        """
        if (tokens := self._engine.tokens) is not None and tokens.grant.name in _USERS_OWN:
            msg = "create_user needs an application token: auth=ClientCredentials(…) or auth=OnBehalfOf(…)"
            raise ConfigurationError(msg)
        body = write(ApplicationUserCreate, fields, what="applications.create_user")
        return await self._item(CREATE_USER, ApplicationUser, {"org": organization_id}, payload=body, options=options)
