"""Rows 44 to 51 against a real authorization server: what its token endpoint answers instead of a token."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import anyio
import httpx
import pytest
from tenacity import retry_always, stop_after_attempt, wait_none

from tallyfy_async import (
    AmbiguousRefreshError,
    AuthError,
    InvalidClientError,
    ReauthenticationRequiredError,
    RetryPolicy,
    TokenRequestError,
)
from tallyfy_async.sandbox import Rule
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import (
    CALLERS,
    TOKEN,
    connected,
    earlier_login,
    logins,
    me,
    password,
    record,
    refreshes,
    sent,
    stored,
    together,
)
from tests.faults.rig import every
from tests.oauth_server.authority import Authority
from tests.oauth_server.known import CODE_CLIENT, PASSWORD_CLIENT
from tests.oauth_server.meddler import Meddle, meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS
LOST_FOR_EVER = Rule(path=TOKEN, drop_after=True, times=None)


def _rotate(authority: Authority, refresh_token: str) -> None:
    authority.present(refresh_token).raise_for_status()


def _end_all(authority: Authority, _refresh_token: str) -> None:
    authority.revoke_all()


def _outlive(authority: Authority, _refresh_token: str) -> None:
    authority.configure(refresh_life=1)
    authority.expire_access()


def _forget(authority: Authority, _refresh_token: str) -> None:
    authority.reset()


@pytest.mark.parametrize("kill", [_rotate, _end_all, _outlive, _forget])
async def test_row_44_real_dead_refresh_token(authority: Authority, kill: Callable[[Authority, str], None]) -> None:
    clock = ManualClock()
    auth, store = await earlier_login(authority, clock)
    kill(authority, auth.refresh_token.reveal())
    before = sent(authority, auth)
    for _ in range(2):
        async with connected(authority.url, auth, clock=clock, token_store=store) as tallyfy:
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    assert sent(authority, auth) == before + 1
    assert refreshes(authority)["invalid_grant"] == 1
    assert (await stored(store, auth, authority.url)).refresh_token is None


async def test_row_44_real_refresh_token_of_another_client(authority: Authority) -> None:
    clock = ManualClock()
    auth, store = await earlier_login(authority, clock, client_id=CODE_CLIENT[0], client_secret=CODE_CLIENT[1])
    async with connected(authority.url, auth, clock=clock, token_store=store) as tallyfy:
        every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
        every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    assert refreshes(authority) == {"invalid_grant": 1}
    assert authority.alive(auth.refresh_token.reveal()), "its owner can still use it"


async def test_row_44_real_reuse_ends_the_family(authority: Authority) -> None:
    clock = ManualClock()
    auth, store = await earlier_login(authority, clock)
    theirs = authority.present(auth.refresh_token.reveal()).raise_for_status().json()
    async with connected(authority.url, auth, clock=clock, token_store=store) as tallyfy:
        with pytest.raises(ReauthenticationRequiredError):
            await me(tallyfy)
        assert not authority.alive(theirs["refresh_token"]), "the server takes the second use for theft"
        await tallyfy.tokens.adopt(record(authority.login(), clock.time()))
        assert await together(lambda: me(tallyfy)) == ALL_OK, "a new login mends it"


async def test_row_44_real_dead_refresh_token_and_a_password(authority: Authority) -> None:
    clock = ManualClock()
    async with connected(authority.url, clock=clock) as tallyfy:
        await me(tallyfy)
        authority.revoke_all()
        assert await together(lambda: me(tallyfy)) == ALL_OK
    assert authority.report.requests == {"password": {"ok": 2}, "refresh_token": {"invalid_grant": 1}}


async def test_row_46_real_wrong_secret_at_a_refresh(authority: Authority) -> None:
    clock = ManualClock()
    secret = ["wrong"]
    auth, store = await earlier_login(authority, clock, client_secret=lambda: secret[0])
    before = await stored(store, auth, authority.url)
    async with connected(authority.url, auth, clock=clock, token_store=store) as tallyfy:
        every(await together(lambda: me(tallyfy)), InvalidClientError)
        assert refreshes(authority) == {"invalid_client": 1}
        assert await stored(store, auth, authority.url) == before
        secret[0] = PASSWORD_CLIENT[1]
        assert await together(lambda: me(tallyfy)) == ALL_OK
    assert refreshes(authority) == {"invalid_client": 1, "ok": 1}


async def test_row_46_real_wrong_secret_at_the_first_token(authority: Authority) -> None:
    async with connected(authority.url, password(client_secret="wrong")) as tallyfy:
        every(await together(lambda: me(tallyfy)), InvalidClientError)
    assert authority.report.requests == {"password": {"invalid_client": 1}}


async def test_row_46_real_client_without_the_right_to_this_grant(authority: Authority) -> None:
    auth = password(client_id=CODE_CLIENT[0], client_secret=CODE_CLIENT[1])
    async with connected(authority.url, auth) as tallyfy:
        errors = every(await together(lambda: me(tallyfy)), InvalidClientError)
    assert authority.report.requests == {"password": {"unauthorized_client": 1}}
    assert errors[0].error == "unauthorized_client"


async def test_row_46_real_wrong_password(authority: Authority) -> None:
    async with connected(authority.url, password(password="wrong")) as tallyfy:
        errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
    assert authority.report.requests == {"password": {"invalid_grant": 1}}
    assert "check username and password" in str(errors[0])


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_row_47_real_trouble_before_the_server_is_no_logout(authority: Authority, status: int) -> None:
    clock = ManualClock()
    trouble = Meddle(path=TOKEN, times=None, forward=False, status=status, body=b"<html>Bad Gateway</html>")
    with meddling(authority, trouble) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        before = await stored(store, auth, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert {error.status for error in errors} == {status}
            assert proxy.received[f"POST {TOKEN}"] == (2 if status == 500 else 4)
            assert await stored(store, auth, proxy.url) == before
            proxy.clear()
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert refreshes(authority) == {"ok": 1}


async def test_row_47_real_gateway_that_loses_the_answer(authority: Authority) -> None:
    """A 502 after the rotation is answered, so it is asked again: bounded, typed, and no loop."""
    clock = ManualClock()
    lost = Meddle(path=TOKEN, status=502, body=b"<html>Bad Gateway</html>")
    with meddling(authority, lost) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    assert refreshes(authority) == {"ok": 1, "invalid_grant": 1}


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_row_48_real_throttle_before_the_server(authority: Authority, form: str) -> None:
    clock = ManualClock()
    asked = "45" if form == "seconds" else formatdate(clock.time() + 45, usegmt=True)
    throttle = Meddle(path=TOKEN, forward=False, status=429, headers={"Retry-After": asked}, body=b"{}")
    with meddling(authority, throttle) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert {error.status for error in errors} == {429}
            clock.advance(40)
            every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert proxy.received[f"POST {TOKEN}"] == 1
            clock.advance(6)
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert refreshes(authority) == {"ok": 1}


RETRIES: dict[str, dict[str, Any]] = {
    "tenacity": {"retry": RetryPolicy(retry=retry_always, stop=stop_after_attempt(5), wait=wait_none())},
    "number": {"retry": 5},
}


@pytest.mark.parametrize("how", [*RETRIES, "transport"])
async def test_row_49_real_retry_policies_do_not_resend_a_refresh(authority: Authority, how: str) -> None:
    clock = ManualClock()
    with meddling(authority, LOST_FOR_EVER) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        given = RETRIES[how] if how in RETRIES else {"transport": httpx.AsyncHTTPTransport(retries=3)}
        async with connected(proxy.url, auth, clock=clock, token_store=store, **given) as tallyfy:
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        assert proxy.received == {f"POST {TOKEN}": 1}
    assert sent(authority, auth) == 1


STRANGE = [
    b'{"error": {"a": 1}}',
    b'{"error": []}',
    b"[]",
    b"null",
    b'{"error": "unheard_of", "hint": 7}',
    b"\xff",
]


@pytest.mark.parametrize("body", STRANGE, ids=repr)
async def test_row_50_real_error_of_no_known_shape(authority: Authority, body: bytes) -> None:
    clock = ManualClock()
    strange = Meddle(path=TOKEN, forward=False, status=400, body=body)
    with meddling(authority, strange) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        before = await stored(store, auth, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert {error.status for error in errors} == {400}
            assert proxy.received == {f"POST {TOKEN}": 1}
            assert await stored(store, auth, proxy.url) == before
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert refreshes(authority) == {"ok": 1}


MEGABYTE = 2**20
_SIZE = 50 * MEGABYTE


def _flood() -> Iterator[bytes]:
    piece = b" " * 2**16
    for _ in range(_SIZE // len(piece)):
        yield piece


def _bomb() -> bytes:
    return gzip.compress(bytes(_SIZE), 9)


HUGE: dict[str, dict[str, Any]] = {
    "flood": {"body": _flood},
    "bomb": {"body": _bomb(), "headers": {"Content-Encoding": "gzip"}},
    "bomb-in-a-bomb": {"body": gzip.compress(_bomb(), 9), "headers": {"Content-Encoding": "gzip, gzip"}},
}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("kind", HUGE)
async def test_row_51_real_huge_reply(authority: Authority, kind: str, status: int) -> None:
    clock = ManualClock()
    with meddling(authority, Meddle(path=TOKEN, forward=False, status=status, **HUGE[kind])) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            tracemalloc.start()
            try:
                with pytest.raises(AuthError) as caught, anyio.fail_after(30):
                    await me(tallyfy)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert proxy.given < _SIZE, "nobody reads it to its end"
    assert isinstance(caught.value, AmbiguousRefreshError | TokenRequestError)
    assert logins(authority) == 1
    assert peak < 8 * MEGABYTE
