"""What the authorization server received: counters that hold hashes instead of tokens."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any


def digest(secret: str) -> str:
    """Return the name under which a token is counted."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Ledger:
    """Counts requests. One thread answers them all, so nothing is locked."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._presented: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._calls: list[dict[str, Any]] = []
        self._things: list[Any] = []
        self.denied: frozenset[str] = frozenset()

    def token_request(self, form: dict[str, str], outcome: str) -> None:
        """Count a request to the token endpoint and what it traded in."""
        self._tokens[form.get("grant_type", ""), outcome] += 1
        if token := form.get("refresh_token"):
            self._presented[digest(token)] += 1
        if code := form.get("code"):
            self._codes[digest(code)] += 1

    def call(self, method: str, path: str, status: int, headers: dict[str, str]) -> None:
        """Keep a call of the API; its token as a hash."""
        shown = {name.lower(): value for name, value in headers.items()}
        scheme, _, token = shown.pop("authorization", "").partition(" ")
        entry = {"method": method, "path": path, "status": status, "headers": shown}
        self._calls.append({**entry, "scheme": scheme, "token": digest(token) if token else None})

    def add_thing(self, thing: Any) -> int:
        """Keep what a write made; return its number."""
        self._things.append(thing)
        return len(self._things)

    def report(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "tokens": [[*key, count] for key, count in self._tokens.items()],
            "presented": dict(self._presented),
            "codes": dict(self._codes),
            "calls": list(self._calls),
            "things": list(self._things),
        }


ledger = Ledger()
