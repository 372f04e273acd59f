"""Accounts of people, before anybody is logged in."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.accounts import PasswordReset, Registration
from tallyfy_async.models.identity import User
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource

ACTIVATE = Operation(
    id="activate_account",
    method="POST",
    path="/auth/activate",
    scopes="none",
    call="client.accounts.activate",
    confidence="inferred",
)
RECOVER_PASSWORD = Operation(
    id="recover_password",
    method="POST",
    path="/auth/recover-password",
    scopes="account",
    call="client.accounts.recover_password",
    confidence="inferred",
)
REGISTER = Operation(
    id="register",
    method="POST",
    path="/auth/register",
    scopes="none",
    call="client.accounts.register",
    confidence="inferred",
)
RESET_PASSWORD = Operation(
    id="reset_password",
    method="POST",
    path="/auth/reset-password",
    scopes="none",
    call="client.accounts.reset_password",
    confidence="inferred",
)
GET_BY_CODE = Operation(
    id="get_user_by_code",
    method="GET",
    path="/users/code/{code}",
    scopes="none",
    call="client.accounts.get_by_code",
    confidence="inferred",
)


class _Activation(TypedDict):
    code: str


class _Recovery(TypedDict):
    email: str


@frozen(eq=False)
class Accounts(Resource):
    """Registration, activation and passwords.

    All of it is inferred from lists of 2018 to 2020: today people do this in Tallyfy's web pages. The calls carry the
    client's token, as all calls do.
    """

    async def register(self, *, options: RequestOptions | None = None, **fields: Unpack[Registration]) -> Any:
        """Create an account with an organization of its own; return what the server answers (contract: register).

        It is sent once: IndeterminateError and ServerError mean that the account may exist. Inferred: no official
        document shows it, nor the shape of its answer.
        """
        body = write(Registration, fields, what="accounts.register")
        return (await self._call(REGISTER, payload=body, options=options)).data

    async def activate(self, code: str, *, options: RequestOptions | None = None) -> Any:
        """Activate an account by the code of its mail (contract: activate_account).

        Inferred: no official document shows it, nor the shape of its answer.
        """
        body = write(_Activation, {"code": code}, what="accounts.activate")
        return (await self._call(ACTIVATE, payload=body, options=options)).data

    async def recover_password(self, email: str, *, options: RequestOptions | None = None) -> Any:
        """Have a link mailed that lets a person set a new password, for 60 minutes (contract: recover_password).

        Inferred: seed 000 names the capability, no official document shows the operation.
        """
        body = write(_Recovery, {"email": email}, what="accounts.recover_password")
        return (await self._call(RECOVER_PASSWORD, payload=body, options=options)).data

    async def reset_password(self, *, options: RequestOptions | None = None, **fields: Unpack[PasswordReset]) -> Any:
        """Set a new password with the code of a recovery link (contract: reset_password).

        Inferred: no official document shows it, nor the shape of its answer.
        """
        body = write(PasswordReset, fields, what="accounts.reset_password")
        return (await self._call(RESET_PASSWORD, payload=body, options=options)).data

    async def get_by_code(self, code: str, *, options: RequestOptions | None = None) -> User:
        """Read the user behind the code of an invitation or activation (contract: get_user_by_code).

        Inferred: no official document shows it.
        """
        return await self._item(GET_BY_CODE, User, {"code": code}, options=options)
