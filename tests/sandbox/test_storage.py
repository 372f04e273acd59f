"""The world in a file: whatever was written over HTTP is there after the next start, however the last one ended."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tallyfy_async.sandbox import Fault, Sandbox, Settings, StorageError
from tallyfy_async.sandbox.records import Activity, Tag
from tallyfy_async.sandbox.storage import APPLICATION, SCHEMA, Storage

from .conftest import SMALL, Api, Clock
from .everything import ANSWER, PNG, Everything
from .image import containers, image
from .steps import launch, tasks_of

pytestmark = pytest.mark.anyio
Start = Callable[..., Sandbox]


@pytest.fixture
def anyio_backend() -> str:
    """Nothing of the storage awaits: one backend will do."""
    return "asyncio"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "world.db"


@pytest.fixture
def start(file: Path, clock: Clock) -> Start:
    def build(path: Path = file, **options: Any) -> Sandbox:
        return Sandbox(Settings(**SMALL), clock=clock, db=path, **options)

    return build


@pytest.fixture
async def stored(start: Start) -> AsyncIterator[Api]:
    sandbox = start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as http:
        yield Api(sandbox, http)
    sandbox.close()


def again(start: Start, file: Path) -> Any:
    """Read what a kill would leave behind now: the file and its log, as they lie on the disk."""
    ruins = file.parent / "ruins"
    shutil.rmtree(ruins, ignore_errors=True)
    ruins.mkdir()
    for part in file.parent.glob(f"{file.name}*"):
        shutil.copy(part, ruins)
    sandbox = start(ruins / file.name)
    sandbox.close()
    return sandbox


def written(sandbox: Sandbox) -> int:
    """Count the rows that were written so far."""
    storage = sandbox._backend.storage
    assert storage is not None
    return storage._connection.total_changes


async def test_every_write_is_there_after_a_crash(stored: Api, start: Start, file: Path) -> None:
    seeded = Sandbox(Settings(**SMALL), clock=stored.sandbox._backend.world.clock)
    await Everything(stored).write()
    world, tenant = stored.sandbox.world, stored.tenant
    first = seeded.world.tenants[tenant.id]
    for holder, before in ((tenant, first), (world, seeded.world), (world.vault, seeded.world.vault)):
        for name, rows in containers(holder).items():
            assert rows, name
            assert name == "tenants" or image(rows) != image(containers(before)[name]), f"nothing wrote {name}"
    assert tenant.misc_id
    assert tenant.billing_token == "t"
    restored = again(start, file)
    assert image(restored.world) == image(world)
    assert list(restored.world.tenants[tenant.id].blobs.values())[-1] == PNG
    assert any(ANSWER in task.taskdata.values() for task in restored.world.tenants[tenant.id].tasks.values())


async def test_a_restarted_sandbox_goes_on(stored: Api, start: Start, clock: Clock) -> None:
    tokens = (await stored.login()).json()
    run = await launch(stored)
    stored.sandbox.close()
    other = start(seed=5)
    assert (other.restored, other.seed, other.credentials) == (True, 0, stored.sandbox.credentials)
    assert other.settings.runs == SMALL["runs"]
    assert image(other.world) == image(stored.sandbox.world)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other.app)) as http:
        api = Api(other, http)
        assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["name"] == run["name"]
        assert await api.use(tokens["access_token"]) == 200
        clock.now += 3601
        assert await api.use(tokens["access_token"]) == 401
        fresh = (await api.refresh(tokens["refresh_token"])).json()
        assert await api.use(fresh["access_token"]) == 200
        assert (await api.refresh(tokens["refresh_token"])).status_code == 400
        ids = {run["id"], *other.truth()["runs"]}
        assert {(await launch(api))["id"] for _ in range(3)}.isdisjoint(ids)
    other.close()


async def test_the_same_ids_with_and_without_a_restart(stored: Api, start: Start) -> None:
    drawn = {stored.sandbox.world.new_id() for _ in range(2)}
    stored.sandbox.close()
    other = start()
    following = other.world.new_id()
    other.close()
    assert following == stored.sandbox.world.new_id()
    assert following not in drawn


async def test_reading_writes_nothing(stored: Api) -> None:
    for path in ("/me", "{org}/runs", "{org}/tasks?per_page=50", "{org}/checklists?with=tags", "{org}/checklists"):
        await stored.get(path)
    before = written(stored.sandbox)
    for path in ("/me", "{org}/runs", "{org}/tasks?per_page=50", "{org}/checklists?with=tags", "{org}/checklists"):
        await stored.get(path)
    assert written(stored.sandbox) == before


async def test_a_read_that_writes_is_kept(stored: Api, start: Start, file: Path) -> None:
    run = await launch(stored)
    data = {"subject_type": "Run", "subject_id": run["id"], "uploaded_from": "x"}
    reply = await stored.call("POST", "{org}/file", data=data, files={"name": ("a.pdf", b"abc", "application/pdf")})
    await stored.call("GET", f"{{org}}/file/{reply.json()['data']['id']}/dl")
    entry = again(start, file).world.tenants[stored.tenant.id].activities[-1]
    assert (entry.text, entry) == ("File downloaded", stored.tenant.activities[-1])


async def test_only_what_changed_is_written(stored: Api) -> None:
    run = await launch(stored)
    task = tasks_of(stored, run)[0]
    path, before = f"{{org}}/runs/{run['id']}/tasks/{task.id}", written(stored.sandbox)
    assert (await stored.call("PUT", path, json={"title": "Other", "owners": {"users": [1001]}})).status_code == 200
    assert 0 < written(stored.sandbox) - before < 10


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), ([1], [True]), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
async def test_values_that_are_equal_and_yet_not_the_same(
    stored: Api, start: Start, file: Path, old: Any, new: Any
) -> None:
    task = next(iter(stored.tenant.tasks.values()))
    for value in (old, new):
        task.taskdata = {"x": value}
        stored.sandbox._backend.keep(stored.tenant.id)
        kept = again(start, file).world.tenants[stored.tenant.id].tasks[task.id].taskdata
        assert repr(kept) == repr({"x": value})


async def test_order_and_loss_of_rows(stored: Api, start: Start, file: Path) -> None:
    tenant, world = stored.tenant, stored.sandbox.world

    def compared() -> None:
        stored.sandbox._backend.keep(tenant.id)
        assert image(again(start, file).world) == image(world)

    first = next(iter(tenant.tags))
    tenant.tags[first] = tenant.tags.pop(first)
    compared()
    tenant.tags = {"new": Tag(id="new", title="t", color=None, created_at=1), **tenant.tags}
    compared()
    del tenant.tags["new"], tenant.tags[first]
    compared()
    del tenant.activities[0]
    del tenant.activities[5:9]
    tenant.activities.insert(3, Activity(**fields_of(tenant.activities[0]) | {"id": 7}))
    compared()
    world.mail.clear()
    tenant.activities.reverse()
    compared()
    gone = next(reversed(world.tenants))
    del world.tenants[gone]
    compared()
    world.tenants[gone] = type(tenant)(**{name: getattr(tenant, name) for name in BRANCH}, directory=world.directory)
    compared()


BRANCH = ("id", "name", "slug", "industry", "timezone", "created_at", "updated_at")


def fields_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__ if name != "__weakref__"}


async def test_faults_and_control_routes_are_kept(stored: Api, start: Start, file: Path) -> None:
    token = (await stored.login()).json()["access_token"]
    stored.sandbox.faults.add(Fault(path="/me", revoke=True, status=503))
    assert await stored.use(token) == 503
    assert again(start, file).world.vault.access[token].revoked
    root = stored.sandbox.issuer
    reply = await stored.http.post(f"{root}/_sandbox/clients", json={"public": True})
    assert reply.json()["client_id"] in again(start, file).world.clients
    assert (await stored.http.post(f"{root}/_sandbox/logout")).json() == {"revoked": 1}
    assert again(start, file).world.vault.access[stored.token].revoked


async def test_what_the_program_changes_itself_goes_with_close(stored: Api, start: Start) -> None:
    stored.sandbox.add_client(name="Late")
    stored.tenant.name = "Renamed"
    stored.sandbox.close()
    other = start()
    assert [client.name for client in other.world.clients.values()][-1] == "Late"
    assert other.world.tenants[stored.tenant.id].name == "Renamed"
    other.close()


async def test_a_full_disk_is_told_and_nothing_is_lost_afterwards(stored: Api, start: Start, file: Path) -> None:
    storage = stored.sandbox._backend.storage
    assert storage is not None
    pages = storage._connection.execute("PRAGMA page_count").fetchone()[0]
    storage._connection.execute(f"PRAGMA max_page_count={pages}")
    run = next(run.id for run in stored.tenant.runs.values() if run.archived_at is None)
    data = {"subject_type": "Run", "subject_id": run, "uploaded_from": "x"}
    big = {"name": ("a.pdf", bytes(100_000), "application/pdf")}
    before = image(again(start, file).world)
    reply = await stored.call("POST", "{org}/file", data=data, files=big)
    assert reply.status_code == 500
    assert "full" in reply.json()["message"]
    assert str(file) in reply.json()["message"]
    assert image(again(start, file).world) == before
    storage._connection.execute(f"PRAGMA max_page_count={pages + 10_000}")
    assert (await stored.call("POST", "{org}/tags", json={"title": "Steam", "color": "#e74c3c"})).status_code == 201
    assert image(again(start, file).world) == image(stored.sandbox.world)


async def test_writes_after_close_are_refused(stored: Api) -> None:
    stored.sandbox._backend.close()
    reply = await stored.call("POST", "{org}/tags", json={"title": "Steam", "color": "#e74c3c"})
    assert (reply.status_code, "closed" in reply.json()["message"]) == (500, True)
    root = stored.sandbox.issuer
    assert (await stored.http.post(f"{root}/_sandbox/logout")).status_code == 500
    assert (await stored.call("GET", "{org}/tags")).status_code == 500, "nobody sees what is not on the disk"
    assert (await stored.http.get(f"{root}/_sandbox/truth")).status_code == 500


def refused(start: Start, file: Path, words: str) -> None:
    """Open a file that is to be refused: the error names it, and not a byte of it changes."""
    before, around = file.read_bytes(), sorted(file.parent.iterdir())
    with pytest.raises(StorageError, match=words) as told:
        start()
    assert str(file) in str(told.value)
    assert (file.read_bytes(), sorted(file.parent.iterdir())) == (before, around)


@pytest.mark.parametrize("content", [b"{}", b"x" * 5000, b"SQLite format 3\0", b"SQLite format 3\0" + bytes(4080)])
def test_foreign_files(start: Start, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    refused(start, file, "is no file of the sandbox; nothing was changed")


def test_foreign_databases(start: Start, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("CREATE TABLE rows(x)")
    other.execute("PRAGMA journal_mode=WAL")
    other.close()
    refused(start, file, "is no file of the sandbox")


def test_other_versions(start: Start, file: Path) -> None:
    start().close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute(f"PRAGMA user_version={SCHEMA + 1}")
    other.execute("PRAGMA journal_mode=DELETE")
    other.close()
    refused(start, file, f"another version of the sandbox .schema {SCHEMA + 1}")


def spoil(file: Path, statement: str) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    assert other.execute(statement).rowcount > 0
    other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rows SET cell = '{' WHERE field = 'runs'",
        "UPDATE rows SET cell = '{}' WHERE field = 'tasks'",
        "UPDATE rows SET cell = '[]' WHERE field = 'members'",
        "UPDATE rows SET cell = 7 WHERE field = 'tags'",
        "UPDATE rows SET key = 'x' WHERE field = 'users' AND key = '1001'",
        "DELETE FROM rows WHERE field = 'users'",
        "DELETE FROM rows WHERE field = ''",
        "UPDATE origin SET facts = '{}'",
        "UPDATE origin SET facts = 'x'",
        "DELETE FROM origin",
    ],
)
def test_damaged_rows(start: Start, file: Path, statement: str) -> None:
    start().close()
    spoil(file, statement)
    with pytest.raises(StorageError, match="damaged"):
        start()
    with pytest.raises(StorageError, match="damaged"):
        start()


def test_damaged_pages(start: Start, file: Path) -> None:
    start().close()
    with file.open("r+b") as raw:
        raw.seek(8192)
        raw.write(b"\xff" * 40_000)
    before = file.read_bytes()
    with pytest.raises(StorageError, match=r"world\.db is damaged"):
        start()
    assert file.read_bytes() == before


def test_places_where_no_file_can_be(start: Start, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "world.db"):
        with pytest.raises(StorageError, match=str(path)):
            start(path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_or_interrupted_file_is_a_new_one(start: Start, file: Path) -> None:
    file.touch(mode=0o644)
    Storage(file).close()
    assert int.from_bytes(file.read_bytes()[68:72]) == APPLICATION
    made = start()
    assert not made.restored
    made.close()
    other = start()
    assert other.restored
    assert image(other.world) == image(made.world)
    other.close()


def test_nobody_else_may_read_it(start: Start, file: Path) -> None:
    old = os.umask(0)
    try:
        sandbox = start()
        sandbox.world.users[1001].phone = "2"
        sandbox._backend.keep()
        parts = sorted(file.parent.glob("world.db*"))
        assert [part.name for part in parts] == ["world.db", "world.db-wal"]
        assert {stat.S_IMODE(part.stat().st_mode) for part in parts} == {0o600}
        sandbox.close()
        file.chmod(0o644)
        start().close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [part.name for part in file.parent.iterdir()] == ["world.db"]


def test_one_sandbox_at_a_time(start: Start, file: Path) -> None:
    sandbox = start()
    link = file.with_name("link.db")
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(StorageError, match="in use by another sandbox"):
            start(path)
    sandbox.close()
    sandbox.close()
    start(link).close()


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    sandbox = Sandbox(Settings(**SMALL))
    assert not sandbox.restored
    sandbox.close()
    assert list(tmp_path.iterdir()) == []
