"""A client of a sandbox in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from tallyfy_async.auth.grants import PasswordGrant
from tallyfy_async.auth.oauth_client import Grant
from tallyfy_async.client import TallyfyClient
from tallyfy_async.config import ClientSettings
from tallyfy_async.transport.http import asgi_transport

if TYPE_CHECKING:
    from tallyfy_async.sandbox import Sandbox


def connect(sandbox: Sandbox, *, auth: Grant | str | None = None, **settings: Unpack[ClientSettings]) -> TallyfyClient:
    """Return a client of a sandbox, its seeded organization being the client's own ``organization``.

    Inside ``with sandbox.serve():`` it goes over the real socket, elsewhere straight to the application. It is yours to
    close: ``async with connect(sandbox) as tallyfy:``.

    Args:
        sandbox: the sandbox, in this process.
        auth: a grant, or a token as text such as ``sandbox.credentials.personal_token``. Without it, the password grant
            of the sandbox's user, encoded the way that the sandbox's settings demand.
        settings: any other setting of TallyfyClient. With a ``clock`` of your own, give the sandbox the same time,
            ``Sandbox(clock=clock.time)``, so that tokens die for both at once. ``base_url=proxy.url`` goes through a
            ``sandbox.proxy()``.

    Raises ConfigurationError for settings that cannot work.

    """
    if not sandbox.served and settings.get("http_client") is None:
        settings.setdefault("transport", asgi_transport(sandbox.app))
    settings.setdefault("base_url", sandbox.url)
    settings.setdefault("organization", sandbox.credentials.organization)
    return TallyfyClient(auth if auth is not None else _login(sandbox), **settings)


def _login(sandbox: Sandbox) -> PasswordGrant:
    login, demands = sandbox.credentials, sandbox.settings
    return PasswordGrant(
        client_id=login.client_id,
        client_secret=login.client_secret,
        username=login.username,
        password=login.password,
        encoding="json" if demands.body_encoding == "json" else "form",
        client_auth="headers" if demands.client_auth == "headers" else "body",
    )
