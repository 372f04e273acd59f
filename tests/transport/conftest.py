from __future__ import annotations

from contextlib import suppress

import pytest

from tallyfy_async.transport import pool


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of whoever runs the tests out of those that trust the environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no idle connection grow too old, however long the machine stalls: for tests that count connections."""
    monkeypatch.setattr(pool, "KEEPALIVE_EXPIRY", 1e9)
    with suppress(ImportError):  # aiohttp is an extra
        monkeypatch.setattr("tallyfy_async.transport.aiohttp_session.KEEPALIVE_EXPIRY", 1e9)
