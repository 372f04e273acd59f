"""What the sandbox has seen."""

import threading
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class Received:
    """One request as it came in. It holds secrets: this is a test tool, and it stays in memory."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    operation: str | None


class Stats:
    """Counters of one sandbox; control requests (/_sandbox) are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start counting anew."""
        self.requests = 0
        self.by_operation: Counter[str] = Counter()
        self.by_status: Counter[int] = Counter()
        self.token_requests: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Grant type -> outcome (`ok`, an OAuth error code, or a status) -> requests."""
        self.presented: Counter[str] = Counter()
        """Refresh token -> token requests that carried it, whatever became of them."""
        self.codes: Counter[str] = Counter()
        """Authorization code -> token requests that carried it."""
        self.user_token_requests: Counter[str] = Counter()
        """Outcome (`ok` or a status) -> requests of an application for a token of one member."""
        self.authorizations: Counter[str] = Counter()
        """Outcome -> requests to the authorization page: `login` and `consent` (the form was shown), `wrong_password`,
        `no_organization`, `expired` (an old or forged form), `refused` (error page), `code` and `token` (granted), an
        OAuth error code that was sent back, or a status."""
        self.webhooks: Counter[str] = Counter()
        """Outcome -> webhooks: `sent` (2xx), `failed`, `skipped` (a host that the settings exclude), `lost` (a fault),
        `ended` (with the server, before their turn)."""
        self.reuses = 0
        """Refresh tokens that came again after they were spent."""
        self.concurrency = 0
        self.max_concurrency = 0
        self.received: list[Received] = []

    @property
    def presented_twice(self) -> int:
        """Count the refresh tokens that were sent in more than one token request."""
        return sum(1 for times in self.presented.values() if times > 1)

    @property
    def codes_presented_twice(self) -> int:
        """Count the authorization codes that were sent in more than one token request."""
        return sum(1 for times in self.codes.values() if times > 1)

    @property
    def authorization_requests(self) -> int:
        """Count the browsers that were sent to the authorization page."""
        return self.by_operation["authorize"]

    @property
    def token_total(self) -> int:
        """Count the requests to the token endpoint."""
        return sum(sum(outcomes.values()) for outcomes in self.token_requests.values())

    @contextmanager
    def in_flight(self) -> Generator[None, None, None]:
        """Count a request while it is being answered."""
        with self._lock:
            self.requests += 1
            self.concurrency += 1
            self.max_concurrency = max(self.max_concurrency, self.concurrency)
        try:
            yield
        finally:
            with self._lock:
                self.concurrency -= 1

    def answered(self, operation: str | None, status: int) -> None:
        """Count an answer."""
        with self._lock:
            self.by_operation[operation or "unknown"] += 1
            self.by_status[status] += 1

    def token_request(self, grant: str, outcome: str) -> None:
        """Count a token request by what came of it."""
        with self._lock:
            self.token_requests[grant][outcome] += 1

    def user_token_request(self, outcome: str) -> None:
        """Count a request for a token of one member by what came of it."""
        with self._lock:
            self.user_token_requests[outcome] += 1

    def authorization(self, outcome: str) -> None:
        """Count a request to the authorization page by what came of it."""
        with self._lock:
            self.authorizations[outcome] += 1

    def webhook(self, outcome: str) -> None:
        """Count a webhook by what came of it."""
        with self._lock:
            self.webhooks[outcome] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the counters as plain values, without secrets."""
        return {
            "requests": self.requests,
            "by_operation": dict(self.by_operation),
            "by_status": {str(status): n for status, n in self.by_status.items()},
            "token_requests": {grant: dict(outcomes) for grant, outcomes in self.token_requests.items()},
            "token_total": self.token_total,
            "reuses": self.reuses,
            "presented_twice": self.presented_twice,
            "codes_presented_twice": self.codes_presented_twice,
            "authorization_requests": self.authorization_requests,
            "authorizations": dict(self.authorizations),
            "user_token_requests": dict(self.user_token_requests),
            "webhooks": dict(self.webhooks),
            "concurrency": self.concurrency,
            "max_concurrency": self.max_concurrency,
        }
