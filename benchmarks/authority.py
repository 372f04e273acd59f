"""An authorization server as a state machine: tokens that end soon, refresh tokens that work once, and what it counted.

It refuses what league/oauth2-server refuses, which Laravel Passport is built on: a refresh ends the access token and
the refresh token that it trades in. A refresh token that comes a second time is taken for theft and ends the whole
login (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from attrs import asdict, define, field

Answer = tuple[int, dict[str, Any]]


@define
class Counts:
    """What an authority saw.

    Attributes:
        requests: token requests.
        lives: token requests that were due: at most half of the newest token's life was left.
        refreshes: refresh tokens traded in.
        twice: refresh tokens that came although they had been traded in before.
        calls: calls let in.
        refused: calls refused, as their token had ended or was none of ours.

    """

    requests: int = 0
    lives: int = 0
    refreshes: int = 0
    twice: int = 0
    calls: int = 0
    refused: int = 0

    def since(self, earlier: Counts) -> Counts:
        """Return what was counted after ``earlier``."""
        before = asdict(earlier)
        return Counts(**{name: count - before[name] for name, count in asdict(self).items()})


@define(eq=False)
class _Login:
    """What one login led to: one good access token and one good refresh token at a time."""

    access: str = ""
    refresh: str = ""
    ends_at: float = 0.0
    spent: set[str] = field(factory=set[str])
    ended: bool = False


@define(eq=False)
class Authority:
    """Logins and refreshes of one user.

    Attributes:
        first: seconds that the token of a login lives.
        then: seconds that the token of a refresh lives.
        now: a clock in seconds.
        counts: what it saw so far.

    """

    first: int = 0
    then: int = 3_600
    now: Callable[[], float] = monotonic
    counts: Counts = field(factory=Counts, init=False)
    _logins: dict[str, _Login] = field(factory=dict[str, _Login], init=False)
    _due_at: float = field(default=float("-inf"), init=False)
    _number: int = field(default=0, init=False)

    def note(self, form: Mapping[str, str]) -> None:
        """Count a token request when it comes in."""
        self.counts.requests += 1
        if (now := self.now()) >= self._due_at:
            self.counts.lives += 1
            self._due_at = now + self._life(form) / 2

    def answer(self, form: Mapping[str, str]) -> Answer:
        """Return status and body of the reply to a token request."""
        if form.get("grant_type") != "refresh_token":
            return self._issue(_Login(), self.first)
        presented = form.get("refresh_token", "")
        login = self._logins.get(presented)
        if login is not None and presented in login.spent:
            self.counts.twice += 1
            login.ended = True
        if login is None or login.ended:
            return 400, {"error": "invalid_grant", "error_description": "The refresh token is invalid."}
        self.counts.refreshes += 1
        login.spent.add(presented)
        return self._issue(login, self.then)

    def admits(self, access_token: str) -> bool:
        """Whether a call with this token is let in."""
        login = self._logins.get(access_token)
        good = login is not None and not login.ended and login.access == access_token and self.now() < login.ends_at
        self.counts.calls += good
        self.counts.refused += not good
        return good

    def _life(self, form: Mapping[str, str]) -> int:
        return self.then if form.get("grant_type") == "refresh_token" else self.first

    def _issue(self, login: _Login, life: int) -> Answer:
        self._number += 1
        # As long as what Passport sends.
        login.access, login.refresh = f"{self._number:x}.".ljust(900, "a"), f"{self._number:x}.".ljust(600, "r")
        login.ends_at = self.now() + life
        self._logins[login.access] = self._logins[login.refresh] = login
        tokens = {"access_token": login.access, "refresh_token": login.refresh}
        return 200, {**tokens, "token_type": "Bearer", "expires_in": life}


def authority(server: str, *, first: int, then: int) -> str:
    """Return the base URL of an authority of its own on the server: what it counts and knows is nobody else's."""
    return f"{server}/{first}/{then}/{uuid4().hex}"


def counted(url: str) -> Counts:
    """Ask the authority at a base URL what it counted."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", f"{parts.path}/counts")
        return Counts(**json.loads(connection.getresponse().read()))
    finally:
        connection.close()
