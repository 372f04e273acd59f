"""The keyring store: long records in short entries, and keyrings that fail in every way."""

from __future__ import annotations

import hashlib
import logging
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import keyring
import pytest
from keyring.backends import chainer, fail, null

from tallyfy_async import ConfigurationError, StoreCorruptError, StoreError, StoreLockTimeoutError, Token
from tallyfy_async.auth.stores import vault
from tallyfy_async.auth.stores.keyring import KeyringStore
from tallyfy_async.auth.stores.record import to_bytes
from tallyfy_async.auth.stores.vault import Vault
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import KEY as LINE
from tests.auth.line import Server, manager, record, resumed
from tests.auth.stores.backends import Absent, Dead, Dict, Foreign, Killed, PlaintextKeyring, Prompt
from tests.auth.stores.disk import KEY, assert_silent, token

pytestmark = pytest.mark.anyio
WINDOWS = 1280


def store_on(backend: Any, directory: Path, **settings: Any) -> KeyringStore:
    return KeyringStore(backend=backend, lock_directory=directory / "locks", **settings)


@pytest.fixture
def backend() -> Dict:
    return Dict(limit=WINDOWS)


@pytest.fixture
def store(backend: Dict, tmp_path: Path) -> KeyringStore:
    return store_on(backend, tmp_path)


async def test_compare_and_set(store: KeyringStore, backend: Dict, tmp_path: Path) -> None:
    assert await store.load(KEY) is None
    assert not await store.save(KEY, token(2), expected=1)
    assert backend.entries == {}
    assert await store.save(KEY, token(1), expected=None)
    assert not await store.save(KEY, token(2), expected=None)
    assert await store.save(KEY, token(3), expected=1)
    assert not await store.save(KEY, token(2), expected=1)
    assert await store.load(KEY) == token(3)
    assert await store_on(backend, tmp_path).load(KEY) == token(3)
    assert await store.load("another") is None
    assert repr(store) == "<KeyringStore tallyfy_async>"


async def test_services_are_apart(store: KeyringStore, backend: Dict, tmp_path: Path) -> None:
    other = store_on(backend, tmp_path, service="another product")
    await store.save(KEY, token(1), expected=None)
    assert await other.save(KEY, token(2), expected=None)
    assert (await store.load(KEY), await other.load(KEY)) == (token(1), token(2))
    async with store.lock(KEY):
        with anyio.fail_after(5):
            async with other.lock(KEY):
                pass


async def test_names_of_entries_tell_nothing(store: KeyringStore, backend: Dict, tmp_path: Path) -> None:
    await store.save(KEY, token(), expected=None)
    for service, name in backend.entries:
        assert service == "tallyfy_async"
        assert name.partition(".")[0] == hashlib.sha256(KEY.encode()).hexdigest()
    assert not any("@" in path.name for path in (tmp_path / "locks").iterdir())


# Size


async def test_row_52_record_longer_than_an_entry(store: KeyringStore, backend: Dict) -> None:
    assert len(to_bytes(KEY, token())) > 2 * WINDOWS
    for generation in range(1, 6):
        assert await store.save(KEY, token(generation), expected=generation - 1 or None)
        assert await store.load(KEY) == token(generation)
        assert max(map(len, backend.entries.values())) <= WINDOWS
        assert len(backend.entries) == 4, "three parts and the entry that names them; old parts are gone"


async def test_row_52_short_record_is_one_entry(store: KeyringStore, backend: Dict) -> None:
    short = token(1, access_token="a" * 100, refresh_token="r" * 100)
    await store.save(KEY, short, expected=None)
    assert len(backend.entries) == 1
    await store.save(KEY, token(2), expected=1)
    assert len(backend.entries) == 4
    await store.save(KEY, token(3, access_token="a", refresh_token=None), expected=2)
    assert len(backend.entries) == 1


async def test_row_52_roomy_backends_get_one_entry(backend: Dict, tmp_path: Path) -> None:
    roomy = type("Keyring", (Dict,), {"__module__": "keyring.backends.SecretService"})()
    await store_on(roomy, tmp_path).save(KEY, token(), expected=None)
    assert len(roomy.entries) == 1
    await store_on(backend, tmp_path, room=300).save(KEY, token(), expected=None)
    assert len(backend.entries) > 10
    assert await store_on(backend, tmp_path).load(KEY) == token(), "the size is a matter of writing only"


async def test_row_52_too_small_a_backend_keeps_the_old_record(backend: Dict, tmp_path: Path) -> None:
    await store_on(backend, tmp_path).save(KEY, token(1), expected=None)
    with pytest.raises(StoreError, match="PasswordSetError") as caught:
        await store_on(backend, tmp_path, room=2000).save(KEY, token(2), expected=1)
    assert_silent(caught.value)
    assert await store_on(backend, tmp_path).load(KEY) == token(1)


def longer(generation: int) -> Token:
    """Return a record of six parts, where others have three."""
    return token(generation, access_token="x" * 5000)


@pytest.mark.parametrize("before", [1, 2])
def test_row_104_killed_between_any_two_steps(backend: Dict, tmp_path: Path, before: int, anyio_backend: str) -> None:
    seen: list[int] = []
    for deadly in range(40):
        backend.deadly = None
        backend.entries.clear()
        store = store_on(backend, tmp_path)
        for generation in range(1, before + 1):
            assert store._save(KEY, longer(generation), generation - 1 or None, Vault("tallyfy_async", backend))
        backend.log.clear()
        backend.deadly = deadly
        try:
            assert store._save(KEY, token(before + 1), before, Vault("tallyfy_async", backend))
            ended = True
        except Killed:
            ended = False
        backend.deadly = None
        found = store._load(KEY, Vault("tallyfy_async", backend))
        assert found in (longer(before), token(before + 1)), "one whole record, old or new"
        seen.append(found.generation)
        assert store._save(KEY, token(9), found.generation, Vault("tallyfy_async", backend))
        assert store._save(KEY, token(10), 9, Vault("tallyfy_async", backend))
        assert store._load(KEY, Vault("tallyfy_async", backend)) == token(10)
        assert len(backend.entries) == 4, "what a killed writer left was swept"
        if ended:
            break
    assert ended
    assert seen == sorted(seen)
    assert set(seen) == {before, before + 1}
    assert len(seen) > 5


# Contents


def tampered(backend: Dict, change: Any) -> None:
    """Change one part of a record in parts."""
    name = next(name for name in backend.entries if name[1].endswith(".1"))
    changed = change(backend.entries.pop(name))
    if changed is not None:
        backend.entries[name] = changed


@pytest.mark.parametrize("change", [lambda _: None, lambda part: part[:-1], lambda part: "!" + part[1:], lambda _: ""])
async def test_row_98_parts_that_are_gone_or_changed(store: KeyringStore, backend: Dict, change: Any) -> None:
    await store.save(KEY, token(1), expected=None)
    tampered(backend, change)
    before = dict(backend.entries)
    with pytest.raises(StoreCorruptError, match="parts") as caught:
        await store.load(KEY)
    assert_silent(caught.value)
    for expected in (None, 1):
        with pytest.raises(StoreCorruptError) as caught:
            await store.save(KEY, token(2), expected=expected)
        assert_silent(caught.value)
    assert backend.entries == before
    await store.discard(KEY)
    assert await store.save(KEY, token(1), expected=None)
    assert await store.load(KEY) == token(1)


GARBAGE = [
    "",
    "xxxxxxxx",
    "eyJhbGciOiJSUzI1NiJ9.xxxxxxxx.yyyyyyyy",
    "[]",
    "[" * 100_000,
    '{"v": 1, "series": "c", "parts": 1, "sha256": ""}',
    '{"v": 1, "series": ["a"], "parts": 1, "sha256": ""}',
    '{"v": 1, "series": "a", "parts": 0, "sha256": ""}',
    '{"v": 1, "series": "a", "parts": 99999999999, "sha256": ""}',
    '{"v": 1, "series": "a", "parts": true, "sha256": ""}',
    '{"v": 1, "series": "a", "parts": "1"}',
    '{"v": 1, "series": "a", "parts": 1, "sha256": 5}',
    '{"v": null, "series": "a", "parts": 1, "sha256": ""}',
    "\ud800",
]


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
async def test_row_98_garbage_is_kept(store: KeyringStore, backend: Dict, text: str) -> None:
    await store.save(KEY, token(1, access_token="a", refresh_token=None), expected=None)
    [name] = backend.entries
    backend.entries[name] = text
    for expected in (None, 1):
        with pytest.raises(StoreCorruptError) as caught:
            await store.save(KEY, token(2), expected=expected)
        assert_silent(caught.value)
    with pytest.raises(StoreCorruptError):
        await store.load(KEY)
    assert backend.entries == {name: text}
    await store.discard(KEY)
    await store.discard(KEY)
    assert backend.entries == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"v": 2, "series": "a", "parts": 1, "sha256": "", "compressed": true}',
        '{"v": 1, "series": "a", "parts": 1, "sha256": "", "compressed": true}',
        '{"v": 2, "key": "line", "token": {}}',
    ],
)
async def test_row_103_newer_version_is_left_alone(store: KeyringStore, backend: Dict, text: str) -> None:
    await store.save(KEY, token(1, access_token="a", refresh_token=None), expected=None)
    [name] = backend.entries
    backend.entries[name] = text
    with pytest.raises(StoreError, match="upgrade"):
        await store.load(KEY)
    with pytest.raises(StoreError, match="upgrade") as caught:
        await store.save(KEY, token(2), expected=1)
    assert type(caught.value) is StoreError
    assert backend.entries == {name: text}


# Keyrings that are none


def chain(*backends: Any) -> Any:
    """Return keyring's own chain of backends, with these in it."""
    return type("Chain", (chainer.ChainerBackend,), {"backends": list(backends), "__module__": chainer.__name__})()


@pytest.mark.parametrize(
    ("backend", "match"),
    [
        (fail.Keyring(), "no usable keyring"),
        (null.Keyring(), "switched off"),
        (Absent(), "no usable keyring"),
        (PlaintextKeyring(), "plain text"),
        (type("Mine", (PlaintextKeyring,), {})(), "plain text"),
        (chain(), "no usable keyring"),
        (chain(Dict(), PlaintextKeyring()), "plain text"),
        (Dead(), "locked"),
    ],
)
async def test_row_101_no_keyring_no_store(tmp_path: Path, backend: Any, match: str) -> None:
    store = store_on(backend, tmp_path)
    with pytest.raises(StoreError, match=match) as caught:
        await store.load(KEY)
    assert_silent(caught.value)
    with pytest.raises(StoreError, match=match) as caught:
        await store.save(KEY, token(), expected=None)
    assert_silent(caught.value)
    assert {path.suffix for path in (tmp_path / "locks").iterdir()} == {".guard"}, "nothing is stored elsewhere instead"
    assert {path.stat().st_size for path in (tmp_path / "locks").iterdir()} == {0}


async def test_row_101_system_without_a_keyring_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_keyring", fail.Keyring)
    clock = ManualClock()
    server = Server(clock)
    with pytest.raises(StoreError, match="no usable keyring"):
        await manager(server, KeyringStore(lock_directory=tmp_path), resumed()).get()
    assert server.received == []


async def test_row_101_a_chain_of_good_backends_is_good(tmp_path: Path) -> None:
    store = store_on(chain(Dict(), Dict()), tmp_path)
    await store.save(KEY, token(), expected=None)
    assert await store.load(KEY) == token()


async def test_row_101_foreign_exceptions_tell_their_kind_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StoreError, match="OSError") as caught:
        await store_on(Foreign(), tmp_path).save(KEY, token(), expected=None)
    assert_silent(caught.value)
    assert "xxxx" not in caplog.text


@pytest.mark.parametrize("word", ["get", "set", "delete"])
async def test_row_101_blocking_prompt(tmp_path: Path, word: str) -> None:
    clock, prompt = ManualClock(autojump=False), Prompt(word, limit=WINDOWS)
    prompt.answered.set()
    store = store_on(prompt, tmp_path, timeout=7.0, clock=clock)
    assert await store.save(KEY, token(1), expected=None)
    for event in (prompt.asked, prompt.answered, prompt.left):
        event.clear()

    async def advance() -> None:
        await anyio.to_thread.run_sync(prompt.asked.wait)
        clock.advance(7.0)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(advance)
            with pytest.raises(StoreError, match="does not answer") as caught:
                await store.save(KEY, token(2), expected=1)
    assert_silent(caught.value)
    steps = len(prompt.log)
    prompt.answered.set()
    await anyio.to_thread.run_sync(prompt.left.wait)
    found = await store.load(KEY)
    assert found == (token(2) if word == "delete" else token(1)), "a late answer lets nothing further begin"
    assert word == "delete" or "delete" not in prompt.log[steps:]
    assert await store.save(KEY, token(3), expected=found.generation)
    assert await store.load(KEY) == token(3)


async def test_row_101_prompt_holds_up_neither_loop_nor_exit(tmp_path: Path) -> None:
    prompt = Prompt("get")
    store = store_on(prompt, tmp_path)
    before = set(threading.enumerate())
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(store.load, KEY)
            await anyio.to_thread.run_sync(prompt.asked.wait)
            asking = [thread for thread in threading.enumerate() if thread not in before and "keyring" in thread.name]
            group.cancel_scope.cancel()
    assert asking
    assert all(thread.daemon for thread in asking), "the interpreter's exit waits for no daemon"
    prompt.answered.set()
    await anyio.to_thread.run_sync(prompt.left.wait)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has no native cancellation
async def test_row_101_native_cancellation(tmp_path: Path) -> None:
    import asyncio

    prompt = Prompt("get")
    store = store_on(prompt, tmp_path)
    task = asyncio.ensure_future(store.load(KEY))
    await anyio.to_thread.run_sync(prompt.asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    prompt.answered.set()
    await anyio.to_thread.run_sync(prompt.left.wait)
    assert await store.load(KEY) is None


async def test_row_101_unanswered_prompts_do_not_pile_up(tmp_path: Path) -> None:
    prompt = Prompt("get")
    store = store_on(prompt, tmp_path, timeout=0.01)
    before = set(threading.enumerate())
    for number in range(10):
        with pytest.raises(StoreError, match="does not answer"):
            await store.load(str(number))
    asking = [thread for thread in threading.enumerate() if thread not in before and "keyring" in thread.name]
    assert asking
    assert len(asking) <= vault._MOST_STUCK
    prompt.answered.set()
    for thread in asking:
        await anyio.to_thread.run_sync(thread.join, 10)
        assert not thread.is_alive()
    assert await store_on(prompt, tmp_path).load(KEY) is None


async def test_row_102_the_keyring_is_asked_off_the_loop(tmp_path: Path) -> None:
    here, where = threading.get_ident(), list[int]()

    class Noting(Dict):
        def _step(self, word: str) -> None:
            where.append(threading.get_ident())

    store = store_on(Noting(), tmp_path)
    await store.save(KEY, token(), expected=None)
    await store.load(KEY)
    await store.discard(KEY)
    assert len(where) > 8
    assert here not in where


# Locks and managers


async def test_lock_is_a_kernel_lock_in_a_private_directory(store: KeyringStore, tmp_path: Path) -> None:
    async with store.lock(KEY):
        with anyio.move_on_after(0.1) as scope:
            async with store_on(Dict(), tmp_path).lock(KEY):
                pytest.fail("two hold the lock")
    assert scope.cancelled_caught
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "locks").iterdir()} == {0o600}


async def test_default_lock_directory_is_the_users(
    backend: Dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    await KeyringStore(backend=backend).save(KEY, token(), expected=None)
    assert (tmp_path / "state" / "tallyfy_async" / "keyring").is_dir()
    assert stat.S_IMODE((tmp_path / "state" / "tallyfy_async").stat().st_mode) == 0o700


async def test_row_30_lock_that_never_comes(backend: Dict, tmp_path: Path) -> None:
    clock = ManualClock()
    server, holder = Server(clock), store_on(backend, tmp_path)
    store = store_on(backend, tmp_path, clock=clock)
    await holder.save(LINE, record(clock, 1, age=7200), expected=None)
    async with holder.lock(LINE):
        with pytest.raises(StoreLockTimeoutError):
            await manager(server, store, resumed()).get()
    assert server.received == []


async def test_a_line_of_tokens_lives_in_the_keyring(store: KeyringStore, tmp_path: Path, backend: Dict) -> None:
    clock = ManualClock()
    server = Server(clock)
    for life in range(1, 4):
        tokens = manager(server, store_on(backend, tmp_path), resumed())
        assert (await tokens.get()).generation == life
        assert not tokens.statistics.unpersisted
        clock.advance(3600)
    assert server.resent == []


@pytest.mark.parametrize("wrong", [{"service": ""}, {"timeout": 0}, {"timeout": -1.0}, {"room": 10}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        KeyringStore(**wrong)


@pytest.mark.parametrize("module", ["keyring", "filelock"])
def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r'pip install "tallyfy-async\[keyring\]"'):
        KeyringStore()
