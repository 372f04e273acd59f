"""An authorization server in this process that keeps a model of every token, and notes what a client must not do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import anyio
import anyio.lowlevel
from attrs import define, evolve, field, fields, frozen

from tallyfy_async import NotSentError, RequestTimeoutError, Token, TransportError
from tallyfy_async.auth.oauth_client import TokenRequest
from tallyfy_async.errors import APIError
from tallyfy_async.protocol.response import Headers, Reply, failure
from tests.auth.line import Server

MARK = "S3CR3T"
HARMLESS = {"unsent", "kept"}
_ADVISORY = 60.0


def secret(kind: str, number: int = 0) -> str:
    """Return a secret, any piece of which shows the mark."""
    return f"{kind}-{MARK}-{number}-{MARK}"


@frozen(kw_only=True)
class Accident:
    """What happens to one token request.

    ``unsent``: it never leaves. ``dropped``: it leaves and is not heard of. ``lost``: the server does its work, and its
    answer is lost. ``status``: the server refuses without doing anything. ``dead``: the server ends the refresh token.
    ``garbage``: the server does its work and answers with something else. ``good``: an answer with ``changes``.
    """

    kind: str = "good"
    changes: tuple[tuple[str, Any], ...] = ()
    status: int = 200
    body: str = ""
    retry_after: str | None = None
    before: float = 0.0
    after: float = 0.0

    def __repr__(self) -> str:
        given = [
            f"{one.name}={value!r}" for one in fields(Accident) if (value := getattr(self, one.name)) != one.default
        ]
        return f"Accident({', '.join(given)})"


GOOD = Accident()


@define(eq=False, repr=False)
class Life:
    """One access token as the server knows it; ``life`` as a client has to read it, None for unknown."""

    access: str
    refresh: str | None
    generation: int
    issued: float
    life: float | None
    skew: float
    top_skew: float
    revoked: bool = False

    def ended(self, now: float) -> bool:
        return self.revoked or now >= self.issued + (math.inf if self.life is None else self.life)

    def stale(self, now: float) -> bool:
        """Whether a client with a wall clock that jumped may find it in need of renewal."""
        if self.life is None:
            return False
        advisory = min(_ADVISORY, self.life * 0.1)
        return now + (self.top_skew - self.skew) >= self.issued + self.life - advisory - 1e-3


@define(eq=False, repr=False)
class Arrival:
    """A request that came in: the refresh token or code that it spends, and what has become of that."""

    form: dict[str, str]
    once: str | None
    at: float
    generation: int | None
    fate: str = "flying"
    worked: Life | None = None
    outcome: dict[str, Any] | APIError | None = None


@define(eq=False, repr=False, kw_only=True)
class Authority(Server):
    """A server of one line. ``stored`` reads the record of the line past all faults of stores.

    Attributes:
        usual: what happens to a request where no accident is left.
        replays: how often a refresh token may be sent beyond the first time.
        arrivals: every request.
        lives: every access token that was issued or adopted.
        usable: refresh tokens and codes that work.
        refused: access tokens in whose place somebody asked for another.
        disturbed: a record was replaced, or a lock lost, under somebody's hands: what follows from stored records and
            from generations is not known until all is quiet again.
        top: highest generation that was answered or adopted.

    """

    stored: Callable[[], Token | None] = field(default=lambda: None)
    usual: Accident = GOOD
    replays: int = 0
    arrivals: list[Arrival] = field(factory=list[Arrival])
    lives: dict[str, Life] = field(factory=dict[str, Life])
    usable: set[str] = field(factory=set[str])
    refused: set[str] = field(factory=set[str])
    disturbed: bool = False
    top: int = 0
    violations: list[str] = field(factory=list[str])

    def __repr__(self) -> str:
        return f"<Authority {len(self.arrivals)} requests, {self.issued} tokens>"

    async def __call__(self, request: TokenRequest, deadline: float) -> Reply:
        accident = self.accidents.pop(0) if self.accidents else self.usual
        arrival = self._receive(request, deadline)
        try:
            with self.clock.timeout(deadline):
                await anyio.lowlevel.checkpoint()
                if accident.kind == "unsent":
                    arrival.fate = "unsent"
                    raise NotSentError("the connection was refused")
                await self.clock.sleep(accident.before)
                arrival.outcome = self._work(arrival, accident)
                await self.clock.sleep(accident.after)
                answer = self._deliver(arrival, accident)
                if isinstance(answer, Reply):
                    return answer
                raise answer  # here, where no local variable shows a secret
            raise RequestTimeoutError("no answer in time")
        except anyio.get_cancelled_exc_class():
            self.violations.append("a token request was cut although it had time left")
            raise
        finally:
            self._leave(arrival)

    def _receive(self, request: TokenRequest, deadline: float) -> Arrival:
        form = dict(parse_qsl((request.content or b"").decode()))
        once = form.get("refresh_token") or form.get("code")
        record = self.stored()
        arrival = Arrival(form, once, self.clock.monotonic(), self._following(once, record))
        if once is not None:
            self._check_once(once)
            if deadline < 1.0:
                self.violations.append(f"a refresh token was sent with {deadline:.3f} s left to hear the answer")
        if not self.disturbed:
            self._check_cause(once, record)
        self.received.append(form)
        self.deadlines.append(deadline)
        self.arrivals.append(arrival)
        return arrival

    def _following(self, once: str | None, record: Token | None) -> int | None:
        """Return the generation that the answer has to get, None where it cannot be known."""
        if self.disturbed:
            return None
        return (0 if record is None else record.generation) + 1

    def _check_once(self, once: str) -> None:
        before = [one.fate for one in self.arrivals if one.once == once and one.fate not in HARMLESS]
        if len(before) > self.replays:
            self.violations.append(f"a refresh token or code was sent again after {before}")

    def _check_cause(self, once: str | None, record: Token | None) -> None:
        """Note a request that nothing asked for: no token is stale, refused or missing."""
        if record is None:
            if once is not None:
                self.violations.append("a refresh token was sent without a mark in the store")
            return
        if once is not None and not record.presented:
            self.violations.append("a refresh token was sent without a mark in the store")
        access = record.access_token.reveal()
        life = self.lives.get(access)
        if life is None or access in self.refused or life.stale(self.clock.monotonic()):
            return
        self.violations.append(f"generation {record.generation} was renewed without a cause")

    def _work(self, arrival: Arrival, accident: Accident) -> dict[str, Any] | APIError:
        """Do what the server does when the request arrives, whoever hears of it."""
        if accident.kind == "dropped":
            arrival.fate = "unknown"
            return {}
        if accident.kind == "status":
            return self._failure(accident)
        once = arrival.once
        if accident.kind == "dead" or (once is not None and once not in self.usable):
            self.usable.discard(once or "")
            dead = Accident(kind="dead", status=400, body='{"error": "invalid_grant"}')
            return self._failure(accident if accident.kind == "dead" else dead)
        changes = dict(accident.changes)
        arrival.worked = life = self.issue(_read(changes.get("expires_in", self.life)), since=arrival.at)
        if once is not None:
            self._rotate(arrival, life, keeps=changes.get("refresh_token", life.refresh) in (None, ""))
        if arrival.form["grant_type"] == "client_credentials":
            life.refresh, changes["refresh_token"] = None, None
        body = {"access_token": life.access, "refresh_token": life.refresh, "expires_in": self.life}
        return {"token_type": "Bearer", **body, **changes}

    def _rotate(self, arrival: Arrival, life: Life, *, keeps: bool) -> None:
        """Spend the refresh token and end the access token that came with it; or keep the one where it is not replaced.

        Passport revokes the old access token before it issues the new one.
        """
        for old in self.lives.values():
            if old.refresh == arrival.once:
                old.revoked = True
        if keeps and arrival.form["grant_type"] == "refresh_token":
            life.refresh = arrival.once
        else:
            self.usable.discard(arrival.once or "")

    def issue(self, life: float | None, *, since: float | None = None) -> Life:
        """Make a token with a refresh token that works."""
        self.issued += 1
        made = Life(
            access=secret("access", self.issued),
            refresh=secret("refresh", self.issued),
            generation=0,
            issued=self.clock.monotonic() if since is None else since,
            life=life,
            skew=self.clock.skew,
            top_skew=self.clock.skew,
        )
        self.lives[made.access] = made
        self.usable.add(made.refresh or "")
        return made

    def _failure(self, accident: Accident) -> APIError:
        headers = Headers([] if accident.retry_after is None else [("Retry-After", accident.retry_after)])
        reply = Reply(status=accident.status, headers=headers, content=accident.body.encode())
        return failure("POST", "/oauth/token", reply, self.clock.time())

    def _deliver(self, arrival: Arrival, accident: Accident) -> Reply | Exception:
        outcome, life = arrival.outcome, arrival.worked
        if accident.kind in {"lost", "dropped"}:
            return TransportError("the exchange broke: ReadError")
        if isinstance(outcome, APIError):
            arrival.fate = "kept" if accident.kind == "status" else "dead"
            return outcome
        content = accident.body.encode() if accident.kind == "garbage" else json.dumps(outcome).encode()
        arrival.fate = "spent"
        if life is not None and accident.kind == "good":
            arrival.fate = "kept" if life.refresh == arrival.once else "spent"
            if arrival.generation is not None:
                life.generation = arrival.generation
                self.top = max(self.top, arrival.generation)
        return Reply(status=200, content=content, elapsed=self.clock.monotonic() - arrival.at)

    def _leave(self, arrival: Arrival) -> None:
        """Go on with a request whose client has gone: it is on its way, and will be served."""
        if arrival.fate != "flying":
            return
        arrival.fate = "unknown"
        if arrival.worked is None and arrival.once in self.usable:
            self._work(arrival, GOOD)

    def adopted(self, life: Life, token: Token) -> None:
        """Note that a token of another login was put into the line."""
        life.generation = token.generation
        self.top = max(self.top, token.generation)

    def jump(self, seconds: float) -> None:
        """Set the wall clock of every client."""
        self.clock.skew += seconds
        for life in self.lives.values():
            life.top_skew = max(life.top_skew, self.clock.skew)

    def revoke(self) -> None:
        """End every access token."""
        for life in self.lives.values():
            life.revoked = True

    def accepts(self, access: str) -> bool:
        """Whether the API takes a token."""
        life = self.lives.get(access)
        return life is not None and not life.ended(self.clock.monotonic())

    def record_of(self, life: Life) -> Token:
        """Return a token as another login would hand it over."""
        given = Token(access_token=life.access, issued_at=self.clock.time(), lifetime=life.life)
        return evolve(given, refresh_token=life.refresh)


READINGS: list[tuple[Any, float | None]] = [
    (3600, 3600.0),
    ("3600", 3600.0),
    (840, 840.0),
    (3, 3.0),
    (0, 0.0),
    (-1, 0.0),
    (None, None),
    ("soon", None),
    (True, None),
    ([], None),
    (10**12, 2.0**31 - 1),
]
"""What a server may say in ``expires_in``, and the seconds that a client has to read there."""


def _read(said: Any) -> float | None:
    for one, seconds in READINGS:
        if type(one) is type(said) and one == said:
            return seconds
    raise LookupError(said)
