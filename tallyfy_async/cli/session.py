"""Who calls which server for which organization: from options, environment and kept logins."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import field, frozen

from tallyfy_async.auth.profile import has_profile, load_profile, login_directory, login_settings
from tallyfy_async.cli.exits import NotLoggedInError
from tallyfy_async.cli.output import plain
from tallyfy_async.cli.screen import Columns, Screen
from tallyfy_async.client import TallyfyClient
from tallyfy_async.config import BASE_URL, environment, logging_as_told
from tallyfy_async.engine.pager import Pager
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.identity import Organization as OrganizationModel
from tallyfy_async.organization import Organization
from tallyfy_async.protocol.origin import checked_base
from tallyfy_async.transport.clock import Clock, SystemClock

_USERS = ("TALLYFY_ACCESS_TOKEN", "TALLYFY_USERNAME", "TALLYFY_PASSWORD")
_APPLICATION = ("TALLYFY_CLIENT_ID", "TALLYFY_CLIENT_SECRET")
_REMEDY = "run `tallyfy-async login`, or set TALLYFY_ACCESS_TOKEN"


@frozen(kw_only=True)
class Options:
    """What every command can be told.

    Attributes:
        json: results as JSON.
        organization: id of the tenant.
        base_url: where the API lives.
        directory: where a login is kept.

    """

    json: bool = False
    organization: str | None = None
    base_url: str | None = None
    directory: Path | None = None


def _system_clock() -> Clock:
    return SystemClock()


@frozen(kw_only=True)
class Session:
    """One run of a command.

    Attributes:
        options: what it was told.
        screen: where it writes.
        clock: time.

    """

    options: Options
    screen: Screen
    clock: Clock = field(factory=_system_clock)

    @classmethod
    def of(cls, options: Options) -> Session:
        """Return the session of a command that was told ``options``."""
        return cls(options=options, screen=Screen(as_json=options.json))

    @property
    def is_kept(self) -> bool:
        """Whether the credentials are those of a login that was kept.

        A user's credentials in the environment come before a login, an application's after it; ``--directory`` always
        means the login there.
        """
        if self.options.directory is not None:
            return True
        return not any(map(os.environ.get, _USERS)) and has_profile()

    @property
    def source(self) -> str:
        """Where the credentials come from, in words."""
        return f"the login in {login_directory(self.options.directory)}" if self.is_kept else "the environment"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings of the client, looked up once.

        Raises NotLoggedInError where there are no credentials, ConfigurationError and StoreError where something is
        wrong with them.
        """
        found = self._kept() if self.is_kept else self._from_environment()
        chosen = self.options.organization or os.environ.get("TALLYFY_ORGANIZATION") or found.get("organization")
        return logging_as_told({**found, "organization": chosen, "clock": self.clock})

    def _kept(self) -> dict[str, Any]:
        place = login_directory(self.options.directory)
        if not has_profile(place):
            msg = f"nobody is logged in in {place}: {_REMEDY}"
            raise NotLoggedInError(msg)
        theirs, ours = load_profile(place).base_url, self.options.base_url
        if ours is not None and checked_base("base_url", ours) != theirs:
            msg = f"the login in {place} is one at {theirs}: for another server, log in with a --directory of its own"
            raise ConfigurationError(msg)
        return login_settings(place)

    def _from_environment(self) -> dict[str, Any]:
        present = any(map(os.environ.get, _USERS)) or all(map(os.environ.get, _APPLICATION))
        if not present:
            msg = f"not logged in: {_REMEDY}"
            raise NotLoggedInError(msg)
        given = {} if self.options.base_url is None else {"base_url": self.options.base_url}
        return {**environment(), **given}

    def connect(self) -> TallyfyClient:
        """Return a client, to be closed by whoever asks; raise what :attr:`settings` raises."""
        return TallyfyClient(**self.settings)

    @property
    def base_url(self) -> str:
        """Where the API would be looked for without credentials."""
        return self.options.base_url or os.environ.get("TALLYFY_BASE_URL") or BASE_URL

    async def organization(self, tallyfy: TallyfyClient) -> Organization:
        """Return the tenant: the one that is named, else the user's only one.

        Raises ConfigurationError where the user has several and named none.
        """
        chosen: str | None = self.settings["organization"]
        return tallyfy.organization(chosen or _only(await tallyfy.organizations.list().collect()))

    async def show_list(
        self, listed: Callable[[Organization], Pager[Any]], columns: Columns, limit: int | None
    ) -> None:
        """Show what ``listed`` gives of the tenant, all of it or the first ``limit``."""
        async with self.connect() as tallyfy:
            found = await listed(await self.organization(tallyfy)).collect(limit)
        self.screen.items(found, columns)


def given(**options: str | None) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _only(found: list[OrganizationModel]) -> str:
    if len(found) == 1:
        return found[0].id
    if not found:
        msg = "you belong to no organization"
        raise ConfigurationError(msg)
    names = ", ".join(f"{one.id} ({plain(one.name)})" for one in found)
    msg = f"you belong to {len(found)} organizations: name one with --organization, or TALLYFY_ORGANIZATION: {names}"
    raise ConfigurationError(msg)
