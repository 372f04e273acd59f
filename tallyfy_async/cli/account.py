"""``whoami``, ``logout`` and ``organizations``: who calls, and for whom."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from tallyfy_async.auth.profile import has_profile, load_profile, login_directory, login_settings, remove_profile
from tallyfy_async.auth.token import Token
from tallyfy_async.cli.exits import NotLoggedInError
from tallyfy_async.cli.screen import Columns
from tallyfy_async.cli.session import Session
from tallyfy_async.client import TallyfyClient
from tallyfy_async.errors import StoreError
from tallyfy_async.models.identity import Organization, User

_ORGANIZATIONS: Columns = (
    ("id", "id"),
    ("name", "name"),
    ("role", "user_role"),
    ("members", "users_count"),
)


async def organizations(session: Session) -> None:
    """List the organizations that you belong to."""
    async with session.connect() as tallyfy:
        found = await tallyfy.organizations.list().collect()
    session.screen.items(found, _ORGANIZATIONS)


async def whoami(session: Session) -> None:
    """Show user, organization and token."""
    settings = session.settings
    grant = settings["auth"].name
    async with session.connect() as tallyfy:
        token = await tallyfy.tokens.get()
        user = None if grant == "client_credentials" else await tallyfy.me.get()
        organization = await _details(tallyfy, settings["organization"], user)
    life = remaining(token, session.clock.time())
    whole = {
        "user": user and {"id": user.id, "email": user.email, "name": name_of(user)},
        "organization": organization and {"id": organization.id, "name": organization.name},
        "base_url": settings.get("base_url", session.base_url),
        "credentials": session.source,
        "token": {"grant": grant, "scopes": scopes_of(token), "expires_at": _iso(token), "remaining": life},
    }
    lines = [
        ("user", "none, it is an application's token" if user is None else f"{name_of(user)} ({user.email})"),
        ("organization", "none chosen" if organization is None else f"{organization.name} ({organization.id})"),
        ("server", whole["base_url"]),
        ("credentials", session.source),
        ("token", f"{grant}, {spelled(life)}"),
    ]
    session.screen.facts(whole, lines)


async def _details(tallyfy: TallyfyClient, chosen: str | None, user: User | None) -> Organization | None:
    """Return the organization that is chosen, else the user's only one, None where that decides nothing."""
    if chosen is not None:
        return await tallyfy.organization(chosen).get()
    found = [] if user is None else await tallyfy.organizations.list().collect()
    return found[0] if len(found) == 1 else None


def name_of(user: User) -> str:
    """Return what a user is called."""
    names = " ".join(part for part in (user.first_name, user.last_name) if part)
    return user.full_name or names or user.username or user.email or str(user.id)


def scopes_of(token: Token) -> list[str] | None:
    """Return the scopes of a token, None where the server did not tell them."""
    return None if token.scopes is None else sorted(token.scopes)


def remaining(token: Token, now: float) -> int | None:
    """Return the whole seconds that a token still lives, None where its end is not known."""
    return None if token.expires_at is None else max(0, math.floor(token.expires_at - now))


def spelled(seconds: int | None) -> str:
    """Return a token's remaining life in words."""
    if seconds is None:
        return "its end is not known"
    units = ((86400, "d"), (3600, "h"), (60, "min"))
    size, unit = next((one for one in units if seconds >= 2 * one[0]), (1, "s"))
    return f"{seconds // size} {unit} left" if seconds else "ended"


def _iso(token: Token) -> str | None:
    return None if token.expires_at is None else f"{datetime.fromtimestamp(token.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}"


async def logout(session: Session) -> None:
    """End the login that is kept.

    Its token and its profile are deleted. Tallyfy documents no way to revoke a token: an access token
    that somebody else has goes on until it ends.
    """
    place = login_directory(session.options.directory)
    if not has_profile(place):
        msg = f"nobody is logged in in {place}"
        raise NotLoggedInError(msg)
    unforgotten = await _forget(str(place), session)
    remove_profile(place)
    session.screen.facts({"logged_out": True, "directory": str(place)}, [("logged out", str(place))])
    if unforgotten is not None:
        raise unforgotten


async def _forget(place: str, session: Session) -> StoreError | None:
    """End the line of tokens; what its store says against that must not keep the login alive."""
    # No request is made, so that no secret is needed.
    unused: dict[str, Any] = {"client_secret": "-"} if load_profile(place).confidential else {}
    async with TallyfyClient(**login_settings(place, **unused), clock=session.clock) as tallyfy:
        try:
            await tallyfy.tokens.forget()
        except StoreError as error:
            return error
    return None
