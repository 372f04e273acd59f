"""The test's side of the authorization server: starts it, reads its counters, does what only a server can do."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Any

import httpx
from attrs import frozen

from tests.oauth_server.known import PASSWORD_CLIENT, USERS
from tests.oauth_server.ledger import digest

_ROOT = Path(__file__).parents[2]
_PATIENCE = 30.0


@frozen(kw_only=True)
class Received:
    """One call that reached the API.

    Attributes:
        method, path, status: what it was and how it was answered.
        scheme: the first word of its Authorization header.
        token: hash of the second, None where there was none.
        headers: its other headers, names in lower case.

    """

    method: str
    path: str
    status: int
    scheme: str
    token: str | None
    headers: Mapping[str, str]


@frozen(kw_only=True)
class Report:
    """What the server received since the last reset.

    Attributes:
        requests: token requests by grant type and outcome (``ok``, or the error code of the reply).
        presented: how often each refresh token was presented, by hash.
        codes: how often each authorization code was presented, by hash.
        calls: the calls of the API, in order of their answers.
        things: what writes have made.

    """

    requests: Mapping[str, Mapping[str, int]]
    presented: Mapping[str, int]
    codes: Mapping[str, int]
    calls: tuple[Received, ...]
    things: tuple[Any, ...]

    @property
    def posts(self) -> int:
        """How many token requests came in all."""
        return sum(sum(outcomes.values()) for outcomes in self.requests.values())

    @property
    def presented_twice(self) -> int:
        """How many refresh tokens came more than once."""
        return sum(count > 1 for count in self.presented.values())

    def sent(self, refresh_token: str) -> int:
        """Return how often a refresh token came."""
        return self.presented.get(digest(refresh_token), 0)

    def statuses(self, path: str = "/api/me") -> dict[int, int]:
        """Return how often a path was answered with each status."""
        return dict(Counter(call.status for call in self.calls if call.path == path))

    def carried(self) -> dict[str | None, dict[int, int]]:
        """Return the statuses that each access token met, by hash."""
        met: dict[str | None, Counter[int]] = {}
        for call in self.calls:
            met.setdefault(call.token, Counter())[call.status] += 1
        return {token: dict(statuses) for token, statuses in met.items()}


@frozen(kw_only=True)
class Rules:
    """What the server goes by; lives and grace time in seconds.

    Attributes:
        access_life: of access tokens.
        refresh_life: of refresh tokens, counted from the end of their access tokens; None for no end.
        rotate: a refresh brings a new refresh token and ends the old one.
        reuse_protection: the second use of a rotated refresh token after its grace time ends the whole family.
        grace: for so long a rotated refresh token brings the pair that it brought already.
        names_issuer: redirects say who the server is (RFC 9207).

    """

    access_life: int = 3600
    refresh_life: int | None = None
    rotate: bool = True
    reuse_protection: bool = True
    grace: int = 0
    names_issuer: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The toolkit's own names for them."""
        return {
            "ACCESS_TOKEN_EXPIRE_SECONDS": self.access_life,
            "REFRESH_TOKEN_EXPIRE_SECONDS": self.refresh_life,
            "ROTATE_REFRESH_TOKEN": self.rotate,
            "REFRESH_TOKEN_REUSE_PROTECTION": self.reuse_protection,
            "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": self.grace,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": self.names_issuer,
        }


@frozen(kw_only=True)
class Authority:
    """A running authorization server with its protected resource.

    Attributes:
        port: where it listens, on 127.0.0.1.
        http: asks it about itself.

    """

    port: int
    http: httpx.Client

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self, **changes: Any) -> None:
        """Forget every token and count, and go by :class:`Rules` with these changes."""
        self._post("reset", Rules(**changes).settings)

    def configure(self, **changes: Any) -> None:
        """Go by :class:`Rules` with these changes from now on."""
        self._post("configure", Rules(**changes).settings)

    @property
    def report(self) -> Report:
        """What was received since the last reset."""
        said = self.http.get("/control/report").raise_for_status().json()
        requests: dict[str, dict[str, int]] = {}
        for grant, outcome, count in said["tokens"]:
            requests.setdefault(grant, {})[outcome] = count
        return Report(
            requests=requests,
            presented=said["presented"],
            codes=said["codes"],
            calls=tuple(Received(**call) for call in said["calls"]),
            things=tuple(said["things"]),
        )

    def expire_access(self) -> None:
        """End every access token early; their refresh tokens stay good."""
        self._post("expire")

    def revoke_all(self) -> None:
        """Revoke every refresh token with its access token."""
        self._post("revoke")

    def narrow(self, scope: str) -> None:
        """Leave every token, and those that its refresh brings, with this scope only."""
        self._post("narrow", {"scope": scope})

    def deny(self, *paths: str) -> None:
        """Answer 401 on these paths and no others, whatever the token."""
        self._post("deny", {"paths": paths})

    def personal_token(self, email: str) -> str:
        """Issue an access token without a refresh token."""
        return str(self._post("personal", {"email": email}).json()["token"])

    def alive(self, token: str | None) -> bool:
        """Tell whether the server would still take an access token or a refresh token; None: any access token."""
        return bool(self._post("living", {"token": token}).json()["count"])

    def login(self, email: str = "ada@example.com", scope: str = "*") -> dict[str, Any]:
        """Log in as another program would; return the reply."""
        form = {"grant_type": "password", "username": email, "password": USERS[email], "scope": scope}
        return dict(self._ask(form, PASSWORD_CLIENT).raise_for_status().json())

    def present(self, refresh_token: str, client: tuple[str, str] = PASSWORD_CLIENT) -> httpx.Response:
        """Trade a refresh token in as another program would, which shares no store with the client under test."""
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token}, client)

    def authorize(self, address: str, email: str = "ada@example.com") -> str:
        """Open an authorization address in a session of this user, as a browser does; return the redirect's target."""
        with httpx.Client(base_url=self.url, trust_env=False) as browser:
            form = {"username": email, "password": USERS[email]}
            browser.post("/accounts/login/", data=form).raise_for_status()
            reply = browser.get(address)
        assert reply.status_code == 302, reply.text
        return reply.headers["Location"]

    def _ask(self, form: Mapping[str, str], client: tuple[str, str]) -> httpx.Response:
        return self.http.post("/o/token/", data={**form, "client_id": client[0], "client_secret": client[1]})

    def _post(self, what: str, body: Any = None) -> httpx.Response:
        return self.http.post(f"/control/{what}", json=body or {}).raise_for_status()


@contextlib.contextmanager
def running(folder: Path) -> Generator[Authority, None, None]:
    """Run the server in a process of its own, with its database and log in ``folder``, until the block ends."""
    log = folder / "server.log"
    with log.open("wb") as errors:
        command = [sys.executable, "-W", "ignore", "-m", "tests.oauth_server", str(folder)]
        process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    with process:
        try:
            port = _port(process.stdout, log)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=_PATIENCE) as http:
                yield Authority(port=port, http=http)
        finally:
            process.kill()


def _port(output: IO[str] | None, log: Path) -> int:
    said = output.readline() if output is not None else ""
    if not said.strip():
        message = f"the authorization server did not start:\n{log.read_text('utf-8')}"
        raise RuntimeError(message)
    return int(said)
