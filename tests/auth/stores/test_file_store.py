"""The file store: what lies on the disk, with which rights, and what is refused."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from tallyfy_async import ConfigurationError, StoreCorruptError, StoreError, StoreLockTimeoutError
from tallyfy_async.auth.stores import folder
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.sealing import ENVIRONMENT_VARIABLE
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import KEY as LINE
from tests.auth.line import Server, manager, record, resumed
from tests.auth.stores.disk import KEY, OTHER_SEAL, SEAL, assert_silent, file_store, token
from tests.faults.rig import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return file_store(tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    try:
        yield os.umask
    finally:
        os.umask(before)


async def written(store: FileStore, data: bytes, key: str = KEY) -> Path:
    """Put something in the place of a record."""
    assert await store.save(key, token(), expected=None)
    store.path(key).write_bytes(data)
    return store.path(key)


async def test_nothing_is_stored_at_first(store: FileStore, tmp_path: Path) -> None:
    assert await store.load(KEY) is None
    assert repr(store) == f"<FileStore {tmp_path / 'tokens'}>"
    assert await store.set_aside(KEY) is None


async def test_compare_and_set(store: FileStore, tmp_path: Path) -> None:
    assert not await store.save(KEY, token(2), expected=1)
    assert await store.save(KEY, token(1), expected=None)
    assert not await store.save(KEY, token(2), expected=None)
    assert await store.save(KEY, token(3), expected=1)
    assert not await store.save(KEY, token(2), expected=1)
    assert await store.load(KEY) == token(3)
    assert await file_store(tmp_path).load(KEY) == token(3)
    assert await store.load("another") is None
    assert await store.save(KEY, token(3).mark(presented=True), expected=3)
    assert await store.load(KEY) == token(3).mark(presented=True)


async def test_names_and_contents_tell_nothing(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(), expected=None)
    async with store.lock(KEY):
        names = [file.name for file in (tmp_path / "tokens").iterdir()]
    assert len(names) == 3
    for name in names:
        assert name.partition(".")[0] == hashlib.sha256(KEY.encode()).hexdigest()
        for clear in (b"xxxxxxxx", b"yyyyyyyy", b"ada@example", b"access_token", b"generation"):
            assert clear not in (tmp_path / "tokens" / name).read_bytes()


async def test_row_104_both_tokens_are_one_record_in_one_file(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(1), expected=None)
    await store.save(KEY, token(2), expected=1)
    [file] = [file for file in (tmp_path / "tokens").iterdir() if not file.suffix]
    assert file == store.path(KEY)
    assert await store.load(KEY) == token(2)


def test_without_keys_there_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    with pytest.raises(ConfigurationError, match="generate_key"):
        FileStore(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        FileStore(tmp_path, keys=[SEAL, "secret-pass-word"])
    assert_silent(caught.value, "secret-pass-word")
    assert list(tmp_path.iterdir()) == []


async def test_keys_from_the_environment_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, SEAL)
    monkeypatch.setenv("HOME", str(tmp_path))
    await FileStore("~/a/b/tokens").save(KEY, token(), expected=None)
    assert await FileStore(tmp_path / "a" / "b" / "tokens").load(KEY) == token()
    assert all(stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o700 for path in ("a", "a/b", "a/b/tokens"))


# Rights


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
async def test_row_97_mode_of_what_is_made(
    store: FileStore, tmp_path: Path, umask: Callable[[int], int], monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    born: list[int] = []
    real = os.open

    def noted(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        descriptor = real(path, flags, *arguments, **named)
        if flags & os.O_CREAT:
            born.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", noted)
    umask(mask)
    await store.save(KEY, token(1), expected=None)
    await store.save(KEY, token(2), expected=1)
    async with store.lock(KEY):
        pass
    assert len(born) == 5
    assert all(mode & 0o077 == 0 for mode in born), "from their first moment"
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path(KEY).stat().st_mode) == 0o600
    assert await store.load(KEY) == token(2)


async def test_row_97_nobody_else_can_ever_read(store: FileStore, tmp_path: Path, umask: Callable[[int], int]) -> None:
    umask(0)
    await store.save(KEY, token(1), expected=None)
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for entry in os.scandir(tmp_path / "tokens"):
                try:
                    seen.add(stat.S_IMODE(entry.stat(follow_symlinks=False).st_mode))
                except FileNotFoundError:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for generation in range(2, 60):
            assert await store.save(KEY, token(generation), expected=generation - 1)
    finally:
        stop.set()
        thread.join()
    assert seen == {0o600}


async def test_row_97_open_directory_is_refused(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(), expected=None)
    for mode in (0o770, 0o702, 0o1777):
        (tmp_path / "tokens").chmod(mode)
        with pytest.raises(StoreError, match=f"open to others.*{mode:o}"):
            await store.load(KEY)
        with pytest.raises(StoreError, match="open to others"):
            await store.save(KEY, token(2), expected=1)
        with pytest.raises(StoreError, match="open to others"):
            async with store.lock(KEY):
                pytest.fail("others could move the lock away")
    (tmp_path / "tokens").chmod(0o755)
    assert await store.load(KEY) == token()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
async def test_row_97_open_file_is_refused(store: FileStore, mode: int) -> None:
    await store.save(KEY, token(), expected=None)
    store.path(KEY).chmod(mode)
    with pytest.raises(StoreError, match="open to others"):
        await store.load(KEY)
    with pytest.raises(StoreError, match="open to others"):
        await store.save(KEY, token(2), expected=1)


async def refusals(store: FileStore, match: str) -> None:
    """Check that reading and writing are refused."""
    with pytest.raises(StoreError, match=match) as caught:
        await store.load(KEY)
    assert_silent(caught.value)
    for expected in (None, 1):
        with pytest.raises(StoreError, match=match) as caught:
            await store.save(KEY, token(2), expected=expected)
        assert_silent(caught.value)


async def test_row_100_symlink_in_the_place_of_a_record(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(), expected=None)
    elsewhere = tmp_path / "elsewhere"
    store.path(KEY).rename(elsewhere)
    store.path(KEY).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    await refusals(store, "symbolic link")
    assert elsewhere.read_bytes() == before
    assert store.path(KEY).is_symlink()


async def test_row_100_dangling_symlink_is_not_filled(store: FileStore, tmp_path: Path) -> None:
    await store.save("another", token(), expected=None)
    store.path(KEY).symlink_to(tmp_path / "victim")
    await refusals(store, "symbolic link")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("suffix", ["guard", "lock"])
async def test_row_100_symlink_in_the_place_of_a_lock(store: FileStore, tmp_path: Path, suffix: str) -> None:
    await store.save("another", token(), expected=None)
    store.path(KEY).with_suffix(f".{suffix}").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreError, match="symbolic link"):
        async with store.lock(KEY):
            await store.save(KEY, token(), expected=None)
    assert not (tmp_path / "victim").exists()


async def test_row_100_symlink_in_the_place_of_the_temporary_file(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    await store.save("another", token(), expected=None)
    store.path(KEY).with_suffix(".tmp").symlink_to(tmp_path / "victim")
    assert await store.save(KEY, token(), expected=None)
    assert (tmp_path / "victim").read_bytes() == b"precious"
    assert await store.load(KEY) == token()
    assert not store.path(KEY).is_symlink()


async def test_row_100_symlink_in_the_place_of_the_directory(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(), expected=None)
    (tmp_path / "tokens").rename(tmp_path / "real")
    (tmp_path / "tokens").symlink_to(tmp_path / "real")
    await refusals(store, "symbolic link")
    (tmp_path / "tokens").unlink()
    (tmp_path / "tokens").symlink_to(tmp_path / "nowhere")
    await refusals(store, "symbolic link")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("what", ["directory", "record"])
async def test_row_100_somebody_elses(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await store.save(KEY, token(), expected=None)
    owned = tmp_path / "tokens" if what == "directory" else store.path(KEY)
    real = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        if status.st_ino != owned.stat().st_ino:
            return status
        return os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))

    monkeypatch.setattr(os, "fstat", foreign)
    await refusals(store, "another user's")


async def test_row_100_other_kinds_of_files(store: FileStore, tmp_path: Path) -> None:
    await store.save("another", token(), expected=None)
    os.mkfifo(store.path(KEY), 0o600)
    with anyio.fail_after(5):
        await refusals(store, "no regular file")
    store.path(KEY).unlink()
    store.path(KEY).mkdir()
    await refusals(store, "no regular file|directory")


async def test_a_file_in_the_place_of_the_directory(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("no directory")
    await refusals(store, "no directory")


# Contents


GARBAGE = [
    b"",
    b"\x00",
    b"garbage",
    b"eyJhbGciOiJSUzI1NiJ9.xxxxxxxx.yyyyyyyy",
    b'{"access_token": "xxxxxxxx", "refresh_token": "yyyyyyyy"}',
    b"gAAAAABm",
    b"A" * (folder.MAX_BYTES + 1),
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_row_98_garbage_is_kept(store: FileStore, data: bytes) -> None:
    path = await written(store, data)
    for attempt in (
        lambda: store.load(KEY),
        lambda: store.save(KEY, token(2), expected=None),
        lambda: store.save(KEY, token(2), expected=1),
    ):
        with pytest.raises(StoreCorruptError, match=path.name) as caught:
            await attempt()
        assert_silent(caught.value)
    assert path.read_bytes() == data


async def test_row_98_every_truncation_is_noticed(store: FileStore) -> None:
    await store.save(KEY, token(1, access_token="xxxxxxxx", refresh_token=None), expected=None)
    whole = store.path(KEY).read_bytes()
    for length in range(len(whole)):
        store.path(KEY).write_bytes(whole[:length])
        with pytest.raises(StoreCorruptError):
            await store.load(KEY)


async def test_row_98_plain_record_is_not_taken(store: FileStore) -> None:
    from tallyfy_async.auth.stores.record import to_bytes

    await written(store, to_bytes(KEY, token()))
    with pytest.raises(StoreCorruptError):
        await store.load(KEY)


async def test_row_98_corrupt_record_sends_nothing(store: FileStore, clock: ManualClock, server: Server) -> None:
    path = await written(store, b"garbage", LINE)
    tokens = manager(server, store, resumed())
    with pytest.raises(StoreCorruptError):
        await tokens.get()
    assert server.received == [], "the first refresh token of the line was spent long ago"
    assert path.read_bytes() == b"garbage"


async def test_row_98_set_aside_on_demand(store: FileStore, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        path = await written(store, b"garbage %d" % number)
        kept = await store.set_aside(KEY)
        assert kept == path.with_name(f"{path.name}.corrupt-{number}")
        assert kept.read_bytes() == b"garbage %d" % number
        assert await store.load(KEY) is None
    assert await store.save(KEY, token(), expected=None)
    assert len(list((tmp_path / "tokens").glob("*.corrupt-*"))) == 3


async def test_row_99_wrong_key_opens_nothing_and_destroys_nothing(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(), expected=None)
    with pytest.raises(StoreCorruptError, match="none of those given") as caught:
        await file_store(tmp_path, OTHER_SEAL).save(KEY, token(), expected=None)
    assert_silent(caught.value)
    assert await store.load(KEY) == token()


async def test_row_99_keys_are_rotated(store: FileStore, tmp_path: Path) -> None:
    await store.save(KEY, token(1), expected=None)
    both = file_store(tmp_path, OTHER_SEAL, SEAL)
    assert await both.load(KEY) == token(1)
    assert await both.save(KEY, token(2), expected=1)
    assert await file_store(tmp_path, OTHER_SEAL).load(KEY) == token(2)
    with pytest.raises(StoreCorruptError):
        await store.load(KEY)


async def test_row_99_swapped_files_are_noticed(store: FileStore) -> None:
    await store.save(KEY, token(1), expected=None)
    await store.save("another", token(2), expected=None)
    store.path(KEY).write_bytes(store.path("another").read_bytes())
    with pytest.raises(StoreCorruptError, match="another line"):
        await store.load(KEY)


async def test_row_99_rolled_back_file_is_exposed(store: FileStore, clock: ManualClock, server: Server) -> None:
    await store.save(LINE, record(clock, 1), expected=None)
    old = store.path(LINE).read_bytes()
    tokens = manager(server, store, resumed())
    assert (await tokens.get()).generation == 1
    clock.advance(3600)
    assert (await tokens.get()).generation == 2
    store.path(LINE).write_bytes(old)
    clock.advance(3600)
    assert (await tokens.get()).generation == 3, "a manager with the newer record does not go back"
    assert server.resent == []
    assert [form["refresh_token"] for form in server.received] == ["refresh-g1", "refresh-1"]
    assert (await store.load(LINE)) == tokens.peek()


NEWER = [
    b'{"v":2,"key":"line","token":{"sealed_to":"device"}}',
    b'{"v":1,"key":"line","token":{},"signature":"x"}',
]


@pytest.mark.parametrize("plain", NEWER)
async def test_row_103_newer_version_is_left_alone(
    store: FileStore, clock: ManualClock, server: Server, plain: bytes
) -> None:
    from cryptography.fernet import Fernet

    path = await written(store, Fernet(SEAL).encrypt(plain), LINE)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="upgrade") as caught:
        await store.load(LINE)
    assert type(caught.value) is StoreError
    for expected in (None, 1, 2):
        with pytest.raises(StoreError, match="upgrade"):
            await store.save(LINE, token(3), expected=expected)
    with pytest.raises(StoreError, match="upgrade"):
        await manager(server, store, resumed()).get()
    assert server.received == []
    assert path.read_bytes() == before


# Managers


async def test_row_30_lock_that_never_comes(tmp_path: Path, clock: ManualClock, server: Server) -> None:
    holder, store = file_store(tmp_path), file_store(tmp_path, clock=clock)
    await store.save(LINE, record(clock, 1, age=7200), expected=None)
    async with holder.lock(LINE):
        with pytest.raises(StoreLockTimeoutError):
            await manager(server, store, resumed()).get()
    assert clock.monotonic() <= 21
    assert server.received == []
    assert (await manager(server, store, resumed()).get()).generation == 2


async def test_row_30_lock_that_comes_late_adopts(tmp_path: Path) -> None:
    clock = ManualClock(autojump=False)
    server, holder, store = Server(clock), file_store(tmp_path), file_store(tmp_path, clock=clock)
    await store.save(LINE, record(clock, 1, age=7200), expected=None)
    tokens = manager(server, store, resumed())
    async with anyio.create_task_group() as group:
        async with holder.lock(LINE):
            group.start_soon(tokens.get)
            await until(lambda: bool(clock.slept))
            assert await holder.save(LINE, record(clock, 2), expected=1)
        clock.advance(0.2)
    assert tokens.peek() == record(clock, 2, age=0.2)
    assert server.received == []


async def test_row_33_late_writer_does_not_overwrite(
    tmp_path: Path, clock: ManualClock, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    store, sibling = file_store(tmp_path), file_store(tmp_path)
    await store.save(LINE, record(clock, 1, age=7200), expected=None)
    server.gate = anyio.Event()
    tokens = manager(server, store, resumed())
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await until(lambda: bool(server.received))
        assert await sibling.save(LINE, record(clock, 9), expected=1)
        server.gate.set()
    assert await store.load(LINE) == record(clock, 9)
    assert "ada" not in caplog.text


# Threads


async def test_row_102_slow_disk_does_not_stop_the_loop(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.save(KEY, token(1), expected=None)
    ticks = 0
    gate = threading.Event()
    on_loop: list[bool] = []
    here = threading.get_ident()

    def slow(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            on_loop.append(threading.get_ident() == here)
            assert gate.wait(20), "the loop never got to open the gate"
            return real(*arguments, **named)

        return call

    async def live() -> None:
        nonlocal ticks
        for _ in range(50):
            await anyio.sleep(0.001)
            ticks += 1
        gate.set()

    for name in ("open", "fsync", "replace"):
        monkeypatch.setattr(os, name, slow(getattr(os, name)))
    async with anyio.create_task_group() as group:
        group.start_soon(live)
        assert await store.load(KEY) == token(1)
        assert ticks == 50
    await store.save(KEY, token(2), expected=1)
    await store.set_aside(KEY)
    async with store.lock(KEY):
        pass
    assert len(on_loop) > 10
    assert not any(on_loop)


async def test_cancelled_save_is_done_whole_or_not_at_all(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.save(KEY, token(1), expected=None)
    reached, gate = threading.Event(), threading.Event()
    real = os.replace

    def slow(*arguments: Any, **named: Any) -> None:
        reached.set()
        assert gate.wait(20)
        real(*arguments, **named)

    monkeypatch.setattr(os, "replace", slow)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: store.save(KEY, token(2), expected=1))
            await anyio.to_thread.run_sync(reached.wait)
            group.cancel_scope.cancel()
    assert await store.load(KEY) == token(1)
    gate.set()
    assert not await store.save(KEY, token(7), expected=1), "the next writer waits for the late one and sees its record"
    assert await store.load(KEY) == token(2)


async def test_full_disk_leaves_the_old_record(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.save(KEY, token(1), expected=None)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        await store.save(KEY, token(2), expected=1)
    assert_silent(caught.value)
    assert await store.load(KEY) == token(1)
    assert list((tmp_path / "tokens").glob("*.tmp")) == []


def test_two_loops_in_two_threads_share_a_store(store: FileStore, anyio_backend: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    async def work(number: int) -> None:
        for _ in range(10):
            async with store.lock(KEY):
                inside.append(number)
                most.append(len(inside))
                stored = await store.load(KEY)
                generation = 0 if stored is None else stored.generation
                assert await store.save(KEY, token(generation + 1), expected=generation or None)
                inside.remove(number)

    threads = [
        threading.Thread(target=anyio.run, args=(work, number), kwargs={"backend": anyio_backend})
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(most) == {1}

    async def last() -> int:
        stored = await store.load(KEY)
        assert stored is not None
        return stored.generation

    assert anyio.run(last, backend=anyio_backend) == 30


# Platforms


async def test_lock_file_that_is_open_to_others_is_refused(store: FileStore) -> None:
    async with store.lock(KEY):
        pass
    store.path(KEY).with_suffix(".lock").chmod(0o666)
    with pytest.raises(StoreError, match="open to others"):
        async with store.lock(KEY):
            pytest.fail("others could hold it for ever")


async def test_platform_that_names_files_by_path(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_POSIX", False)
    assert await store.save(KEY, token(1), expected=None)
    assert await store.save(KEY, token(2), expected=1)
    assert await store.load(KEY) == token(2)
    async with store.lock(KEY):
        pass
    kept = await store.set_aside(KEY)
    assert kept is not None
    assert kept.exists()
    assert not store.path(KEY).exists()
    (tmp_path / "tokens").rename(tmp_path / "real")
    (tmp_path / "tokens").symlink_to(tmp_path / "real")
    await refusals(store, "refused")


@pytest.mark.parametrize(
    ("platform", "variable", "place"),
    [
        ("linux", "XDG_STATE_HOME", "tallyfy_async"),
        ("linux", None, ".local/state/tallyfy_async"),
        ("win32", "LOCALAPPDATA", "tallyfy_async"),
        ("win32", None, "AppData/Local/tallyfy_async"),
        ("darwin", None, "Library/Application Support/tallyfy_async"),
    ],
)
def test_where_a_user_keeps_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str | None, place: str
) -> None:
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert folder.state_directory() == tmp_path / place
