"""Rows 53 to 66: what a token reply says, and what the clocks say of it."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tallyfy_async import AuthError, MemoryStore, Token, TokenRequestError
from tallyfy_async.sandbox import UNSET, Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import (
    CALLERS,
    connected,
    earlier_login,
    login,
    logins,
    me,
    refreshes,
    served,
    stored,
    together,
    until,
)

pytestmark = pytest.mark.anyio


def patch_tokens(sandbox: Sandbox, **changes: Any) -> None:
    """Change every reply of the token endpoint from now on."""
    sandbox.faults.add(Fault(operation="create_token", times=None, patch=changes))


@pytest.mark.parametrize("value", [UNSET, None], ids=["missing", "null"])
async def test_row_53_life_unknown(value: Any) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        patch_tokens(sandbox, expires_in=value)
        async with connected(sandbox, clock=clock) as tallyfy:
            for _ in range(3):
                assert await together(lambda: me(tallyfy), 5) == [200] * 5
                clock.advance(1000)
            assert sandbox.stats.token_total == 1
            clock.advance(1000)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert (logins(sandbox), refreshes(sandbox)) == (1, 1)


@pytest.mark.parametrize("value", [0, "0", -1, "-3600", -(10**400)], ids=["0", "text", "negative", "text-", "huge-"])
async def test_row_54_expired_on_arrival(value: Any) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        patch_tokens(sandbox, expires_in=value)
        async with connected(sandbox, clock=clock) as tallyfy:
            for wave in range(1, 4):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                assert sandbox.stats.token_total == wave
        assert sandbox.stats.presented_twice == 0
        assert sandbox.lives_used == 3


@pytest.mark.parametrize("value", ["3600", " 3600 ", "3600.0", 3600.0])
async def test_row_55_life_as_text(value: Any) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        patch_tokens(sandbox, expires_in=value)
        async with connected(sandbox, clock=clock) as tallyfy:
            assert (await tallyfy.tokens.get()).lifetime == 3600
            clock.advance(3500)
            assert await me(tallyfy) == 200
            assert sandbox.stats.token_total == 1
            clock.advance(50)
            assert await me(tallyfy) == 200
        assert (sandbox.stats.token_total, sandbox.stats.by_status[401]) == (2, 0)


NONSENSE = ["soon", "3600abc", float("nan"), float("inf"), "NaN", "1e400", True, [], {}, ""]


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
async def test_row_56_life_that_is_no_number(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        patch_tokens(sandbox, expires_in=value)
        async with connected(sandbox, clock=clock) as tallyfy:
            with caplog.at_level(logging.WARNING, "tallyfy_async"):
                token = await tallyfy.tokens.get()
            assert token.lifetime is None
            clock.advance(3000)
            assert await together(lambda: me(tallyfy), 5) == [200] * 5
        assert sandbox.stats.token_total == 1
    [record] = caplog.records
    assert "expires_in" in record.getMessage()
    assert token.access_token.reveal() not in caplog.text


@pytest.mark.parametrize("value", [10**12, "1000000000000", 10**400], ids=["int", "text", "beyond"])
async def test_row_57_huge_life(value: Any) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        patch_tokens(sandbox, expires_in=value)
        async with connected(sandbox, clock=clock) as tallyfy:
            assert (await tallyfy.tokens.get()).lifetime == 2**31 - 1
            clock.advance(3000)
            assert await me(tallyfy) == 200
            clock.advance(1000)
            assert await me(tallyfy) == 200, "the server's 401 ends it"
        assert sandbox.stats.token_total == 2


@pytest.mark.parametrize("value", [UNSET, None, "", 17], ids=["missing", "null", "empty", "number"])
async def test_row_58_reply_without_refresh_token_keeps_the_old_one(value: Any) -> None:
    clock = ManualClock()
    with served(clock, refresh_returns_refresh_token=False) as sandbox:
        auth, store = await earlier_login(sandbox, clock)
        patch_tokens(sandbox, refresh_token=value)
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            for life in range(1, 4):
                assert await together(lambda: me(tallyfy), 5) == [200] * 5
                assert sandbox.stats.token_requests == {"refresh_token": {"ok": life}}
                assert (await stored(store, auth, sandbox.url)).refresh_token == auth.refresh_token
                clock.advance(4000)


async def test_row_58_new_login_does_not_inherit_a_dead_refresh_token() -> None:
    clock = ManualClock()
    with served(clock, refresh_life=5000) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(6000)
            patch_tokens(sandbox, refresh_token=UNSET)
            for _ in range(3):
                assert await me(tallyfy) == 200
                clock.advance(4000)
        assert (refreshes(sandbox), logins(sandbox)) == (1, 4)
        assert sandbox.stats.presented_twice == 0


class RecordingStore(MemoryStore):
    """A store that remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Token] = []

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        self.written.append(token)
        return await super().save(key, token, expected=expected)


async def test_row_59_both_new_values_in_one_write() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        store, auth = RecordingStore(), login(sandbox)
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            await me(tallyfy)
            first = await stored(store, auth, sandbox.url)
            store.written.clear()
            clock.advance(4000)
            await me(tallyfy)
            second = await stored(store, auth, sandbox.url)
        pairs = [(token.access_token, token.refresh_token, token.presented) for token in store.written]
        assert pairs == [
            (first.access_token, first.refresh_token, True),
            (second.access_token, second.refresh_token, False),
        ]
        assert first.access_token != second.access_token
        assert first.refresh_token != second.refresh_token
        assert second.refresh_token is not None
        assert not sandbox.world.vault.refresh[second.refresh_token.reveal()].spent


UNUSABLE = [UNSET, None, "", 17, ["x"], "a\nb", "a\r\nX-Evil: 1", "a b", "t\u00f6k", "\u2028"]


@pytest.mark.parametrize("value", UNUSABLE, ids=repr)
async def test_row_60_unusable_access_token(value: Any) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        auth, store = await earlier_login(sandbox, clock)
        before = await stored(store, auth, sandbox.url)
        patch_tokens(sandbox, access_token=value)
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            with pytest.raises(AuthError):
                await me(tallyfy)
        async with connected(sandbox, clock=clock) as tallyfy:
            with pytest.raises(TokenRequestError, match="access_token is"):
                await me(tallyfy)
        assert sandbox.stats.by_operation["get_me"] == 0
        after = await stored(store, auth, sandbox.url)
        assert (after.access_token, after.refresh_token) == (before.access_token, before.refresh_token)


@pytest.mark.parametrize("value", ["bearer", "BEARER", "Bearer", UNSET, None], ids=repr)
async def test_row_61_bearer_in_any_case(value: Any) -> None:
    with served(record=True) as sandbox:
        patch_tokens(sandbox, token_type=value)
        async with connected(sandbox) as tallyfy:
            assert await me(tallyfy) == 200
            token = await tallyfy.tokens.get()
        received = sandbox.stats.received[-1]
        assert received.headers["authorization"] == f"Bearer {token.access_token.reveal()}"


@pytest.mark.parametrize("value", ["mac", "DPoP", 5, ["Bearer"]], ids=repr)
async def test_row_61_other_token_types(value: Any) -> None:
    with served() as sandbox:
        patch_tokens(sandbox, token_type=value)
        async with connected(sandbox) as tallyfy:
            with pytest.raises(TokenRequestError, match="token_type is not Bearer"):
                await me(tallyfy)
        assert sandbox.stats.by_operation["get_me"] == 0


@pytest.mark.parametrize(
    ("granted", "complaints"),
    [("account", 1), ("account process organization", 0), ("*", 0), (UNSET, 0), ("account process", 0)],
    ids=["narrowed", "widened", "all", "silent", "same"],
)
async def test_row_62_scope_changes_on_refresh(granted: Any, complaints: int, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        patch_tokens(sandbox, scope="account process")
        async with connected(sandbox, login(sandbox, scope="account process"), clock=clock) as tallyfy:
            await me(tallyfy)
            sandbox.faults.clear()
            patch_tokens(sandbox, scope=granted)
            clock.advance(4000)
            with caplog.at_level(logging.WARNING, "tallyfy_async"):
                token = await tallyfy.tokens.get()
    expected = frozenset({"account", "process"}) if granted is UNSET else frozenset(granted.split())
    assert token.scopes == expected
    assert [record.getMessage() for record in caplog.records] == [
        "the new token no longer has the scopes process" for _ in range(complaints)
    ]


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
async def test_row_63_wall_clock_jumps(jump: float) -> None:
    ours, theirs = ManualClock(), ManualClock()
    with served(theirs) as sandbox:
        async with connected(sandbox, clock=ours) as tallyfy:
            await me(tallyfy)
            ours.skew += jump
            for _ in range(4):
                assert await together(lambda: me(tallyfy), 5) == [200] * 5
            assert refreshes(sandbox) == (1 if jump > 0 else 0)
            used = refreshes(sandbox)
            for clock in (ours, theirs):
                clock.advance(3700)
            for _ in range(4):
                assert await together(lambda: me(tallyfy), 5) == [200] * 5
            assert refreshes(sandbox) == used + 1, "the monotonic clock ends it"
        assert sandbox.stats.by_status[401] == 0


async def test_row_63_stored_record_from_a_clock_that_is_ahead() -> None:
    ours, theirs = ManualClock(), ManualClock()
    ours.skew -= 7200
    with served(theirs) as sandbox:
        auth, store = await earlier_login(sandbox, theirs, spare=3600)
        async with connected(sandbox, auth, clock=ours, token_store=store) as tallyfy:
            assert await me(tallyfy) == 200
            assert refreshes(sandbox) == 0
            for clock in (ours, theirs):
                clock.advance(3601)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert refreshes(sandbox) == 1
        assert sandbox.stats.by_status[401] == 0, "no longer than its whole life, from when it was read"


async def test_row_63_stored_record_from_a_clock_that_is_behind() -> None:
    ours, theirs = ManualClock(), ManualClock()
    ours.skew += 7200
    with served(theirs) as sandbox:
        auth, store = await earlier_login(sandbox, theirs, spare=3600)
        async with connected(sandbox, auth, clock=ours, token_store=store) as tallyfy:
            for _ in range(4):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert refreshes(sandbox) == 1


@pytest.mark.parametrize("asleep", ["monotonic", "wall"])
async def test_row_64_one_clock_stands_still(asleep: str) -> None:
    ours, theirs = ManualClock(), ManualClock()
    with served(theirs) as sandbox:
        async with connected(sandbox, clock=ours) as tallyfy:
            await me(tallyfy)
            theirs.advance(10_800)
            ours.skew += 10_800 if asleep == "monotonic" else -10_800
            if asleep == "wall":
                ours.advance(10_800)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert refreshes(sandbox) == 1
        assert sandbox.stats.by_status[401] == 0


async def test_row_65_time_in_the_exchange_counts() -> None:
    clock = ManualClock()
    with served(clock, access_life=3) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            sandbox.faults.add(Fault(operation="create_token", delay_after=0.1))
            began = clock.time()

            async def let_time_pass() -> None:
                await until(lambda: sandbox.token_lives == 1)
                clock.advance(2)

            async with anyio.create_task_group() as group:
                group.start_soon(let_time_pass)
                token = await tallyfy.tokens.get()
            assert token.expires_at == pytest.approx(began + 3)
            assert await me(tallyfy) == 200
            clock.advance(1.1)
            assert await me(tallyfy) == 200
        assert refreshes(sandbox) == 1
        assert sandbox.stats.by_status[401] == 0


async def test_row_66_token_dies_on_the_way() -> None:
    clock = ManualClock()
    with served(clock, access_life=3) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(2.69)
            sandbox.faults.add(Fault(operation="get_me", delay=0.1))

            async def let_time_pass() -> None:
                await until(lambda: sandbox.stats.concurrency == 1)
                clock.advance(0.4)

            async with anyio.create_task_group() as group:
                group.start_soon(let_time_pass)
                assert await me(tallyfy) == 200
        assert sandbox.stats.by_status[401] == 1
        assert refreshes(sandbox) == 1
        assert sandbox.stats.by_operation["get_me"] == 3
