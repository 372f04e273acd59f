"""``doctor``: what works between this machine and Tallyfy, looked at step by step."""

from __future__ import annotations

import os
import platform
from collections.abc import Awaitable, Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from tallyfy_async import __version__
from tallyfy_async.auth.token import Token
from tallyfy_async.cli.account import name_of, remaining, scopes_of, spelled
from tallyfy_async.cli.commands import told
from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.cli.session import Session
from tallyfy_async.client import TallyfyClient
from tallyfy_async.config import ClientConfig
from tallyfy_async.engine.plan import RequestOptions, Response
from tallyfy_async.errors import APIError, ConfigurationError, TallyfyError
from tallyfy_async.protocol.origin import checked_base

State: TypeAlias = Literal["ok", "failed", "skipped"]
_PACKAGES = ("httpx", "anyio", "attrs", "cattrs", "tenacity", "typer", "rich", "trio", "cryptography", "keyring")
_NOBODY = "doctor"
"""A token that opens nothing: with it the server can be reached although there are no credentials."""
_BRIEFLY = RequestOptions(retry=0, deadline=15)
_SKEW = 30.0
"""Seconds of difference between two clocks that harm nobody: tokens are renewed a minute early."""
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@frozen(kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str


@define(eq=False, kw_only=True)
class Examination:
    """What is found out, each step using what the ones before it brought."""

    session: Session
    checks: list[Check] = field(factory=list[Check])
    token: Token | None = None
    answer: Response | None = None

    def note(self, name: str, state: State, detail: str) -> None:
        """Write down a finding."""
        self.checks.append(Check(name=name, state=state, detail=detail))

    async def step(self, name: str, work: Callable[[], Awaitable[str]]) -> None:
        """Do one step; what it raises is its finding."""
        try:
            self.note(name, "ok", await work())
        except TallyfyError as error:
            self.note(name, "failed", told(error))

    @property
    def well(self) -> bool:
        """Whether nothing failed."""
        return all(check.state != "failed" for check in self.checks)


async def doctor(session: Session) -> ExitCode:
    """Check everything between here and Tallyfy.

    Versions, credentials, token, server, clock, headers, user and organization. No secret is shown.
    """
    found = Examination(session=session)
    found.note("versions", "ok", ", ".join(f"{name} {number}" for name, number in versions().items()))
    settings = _settings(found)
    given = settings or {"auth": _NOBODY, "base_url": session.base_url, "clock": session.clock}
    try:
        await _examine(found, given, with_credentials=settings is not None)
    except TallyfyError as error:  # settings that no client can be made of
        found.note("settings", "failed", told(error))
    _show(found)
    return ExitCode.OK if found.well else ExitCode.FAILED


def versions() -> dict[str, str]:
    """Return the versions of this package, of Python, and of the packages below that are installed."""
    known = {"tallyfy-async": __version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known


def _settings(found: Examination) -> dict[str, Any] | None:
    session = found.session
    try:
        settings = session.settings
    except TallyfyError as error:
        found.note("credentials", "failed", told(error))
        return None
    kind = settings["auth"].name
    server = _shown(settings.get("base_url", session.base_url))
    found.note("credentials", "ok", f"{kind}, from {session.source}, for {server}")
    return settings


def _shown(base_url: str) -> str:
    """Return an address as it is shown: one that is refused may carry a password."""
    try:
        return checked_base("base_url", base_url)
    except ConfigurationError:
        return "an address that cannot be used"


async def _examine(found: Examination, settings: dict[str, Any], *, with_credentials: bool) -> None:
    async with TallyfyClient(**settings) as tallyfy:
        if with_credentials:
            await found.step("token", lambda: _token(found, tallyfy))
        caller = tallyfy if found.token is not None else tallyfy.with_options(auth=_NOBODY)
        await _reach(found, caller)
        _clock(found)
        found.note("headers", "ok", _headers(settings))
        if found.token is None:
            for name in ("user", "organization"):
                found.note(name, "skipped", "there is no token to ask with")
            return
        await _user(found, tallyfy, settings)
        await found.step("organization", lambda: _organization(found.session, tallyfy))


async def _token(found: Examination, tallyfy: TallyfyClient) -> str:
    found.token = await tallyfy.tokens.get()
    scopes = scopes_of(found.token)
    told_scopes = "scopes not told" if scopes is None else f"scopes {' '.join(scopes)}"
    return f"{spelled(remaining(found.token, found.session.clock.time()))}, {told_scopes}"


async def _reach(found: Examination, tallyfy: TallyfyClient) -> None:
    """Ask for what needs no user; any answer of the server will do."""
    try:
        found.answer = await tallyfy.request("GET", "utils/config", options=_BRIEFLY)
    except APIError as error:
        found.note("server", "ok", f"answers, with {error.status}")
    except TallyfyError as error:
        proxy = next((name for name in _PROXIES if os.environ.get(name)), None)
        hint = f"; {proxy} is set, but proxies are not taken from the environment" if proxy else ""
        found.note("server", "failed", told(error) + hint)
    else:
        found.note("server", "ok", f"answers, within {found.answer.elapsed * 1000:.0f} ms")


def _clock(found: Examination) -> None:
    """Compare our clock with the Date header; an hour off, and every token looks ended or immortal."""
    date = None if found.answer is None else found.answer.headers.get("date")
    skew = None if date is None else skew_of(date, found.session.clock.time())
    if skew is None:
        found.note("clock", "skipped", "the server did not tell the time")
    elif abs(skew) <= _SKEW:
        found.note("clock", "ok", f"within {_SKEW:.0f} s of the server's")
    else:
        found.note("clock", "failed", f"{abs(skew):.0f} s {'behind' if skew < 0 else 'ahead of'} the server's: set it")


def skew_of(date: str, now: float) -> float | None:
    """Return by how many seconds ``now`` is ahead of a Date header, None where that is no date."""
    try:
        told = parsedate_to_datetime(date)
        return now - (told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _headers(settings: dict[str, Any]) -> str:
    sent = (("Authorization", "Bearer …"), *ClientConfig(**settings).request_headers)
    return "; ".join(f"{name}: {value}" for name, value in sent)


async def _user(found: Examination, tallyfy: TallyfyClient, settings: dict[str, Any]) -> None:
    if settings["auth"].name == "client_credentials":
        found.note("user", "skipped", "it is an application's token")
        return

    async def ask() -> str:
        user = await tallyfy.me.get(options=_BRIEFLY)
        return f"{name_of(user)} ({user.email})"

    await found.step("user", ask)


async def _organization(session: Session, tallyfy: TallyfyClient) -> str:
    details = await (await session.organization(tallyfy)).get(options=_BRIEFLY)
    return f"{details.name} ({details.id})"


def _show(found: Examination) -> None:
    screen = found.session.screen
    rows = [{"name": one.name, "state": one.state, "detail": one.detail} for one in found.checks]
    if screen.as_json:
        screen.json({"ok": found.well, "checks": rows})
    else:
        screen.table(["check", "state", "detail"], ([*row.values()] for row in rows))
