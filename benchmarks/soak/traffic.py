"""The calls of a soak. Each reports to the soak's books and raises nothing but TallyfyError and cancellation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from attrs import define, field, frozen

from benchmarks.soak.ledger import COMPLETED, LANDED, REFUSED, UPDATED, Ledger, title
from tallyfy_async import TallyfyError, bulk
from tallyfy_async.organization import Organization

_PAGE = 10


@frozen(kw_only=True)
class Scene:
    """What the calls are about.

    Attributes:
        listed: template whose runs do not change while the soak lasts.
        runs: ids of these runs.
        launched: template that the soak launches runs from.
        subject: task that files are uploaded to.
        user: member who owns the tasks.

    """

    listed: str
    runs: frozenset[str]
    launched: str
    subject: str
    user: int


@define(eq=False)
class Books:
    """What happened so far; see :class:`benchmarks.soak.judge.Findings` for the counters."""

    tasks: Ledger = field(factory=Ledger, init=False)
    launches: Ledger = field(factory=Ledger, init=False)
    files: Ledger = field(factory=Ledger, init=False)
    calls: int = field(default=0, init=False)
    cancelled: int = field(default=0, init=False)
    unknown: int = field(default=0, init=False)
    hung: int = field(default=0, init=False)
    walks: int = field(default=0, init=False)
    short: int = field(default=0, init=False)
    mangled: int = field(default=0, init=False)
    failed: Counter[str] = field(factory=Counter[str], init=False)
    crashed: Counter[str] = field(factory=Counter[str], init=False)

    def walked(self, scene: Scene, seen: AbstractSet[str]) -> None:
        """Note a walk over the runs that do not change."""
        self.walks += 1
        self.short += seen != scene.runs


Act = Callable[[Books, Scene, Organization, Random], Awaitable[None]]


async def walk(books: Books, scene: Scene, org: Organization, _chance: Random) -> None:
    """Walk over a list, page by page."""
    runs = org.runs.list(checklist_id=scene.listed, archived="true", per_page=_PAGE)
    books.walked(scene, {run.id async for run in runs})


async def walk_ahead(books: Books, scene: Scene, org: Organization, chance: Random) -> None:
    """Walk over a list with pages fetched ahead."""
    runs = org.runs.list(checklist_id=scene.listed, archived="true", per_page=_PAGE)
    async with runs.prefetch(chance.randint(2, 8)) as ahead:
        books.walked(scene, {run.id async for run in ahead})


async def break_off(_books: Books, _scene: Scene, org: Organization, chance: Random) -> None:
    """Leave a walk with pages under way."""
    left = chance.randint(1, 3 * _PAGE)
    async with org.tasks.list(per_page=_PAGE).prefetch(4) as ahead:
        async for _ in ahead:
            left -= 1
            if not left:
                return


async def read(_books: Books, scene: Scene, org: Organization, chance: Random) -> None:
    """Read a user, a run and a task."""
    what = chance.randrange(3)
    if what == 0:
        await org.me.get()
    elif what == 1:
        await org.runs.get(chance.choice(tuple(scene.runs)))
    else:
        await org.tasks.get(scene.subject)


async def write(books: Books, scene: Scene, org: Organization, _chance: Random) -> None:
    """Create a task, change it and complete it, as far as it goes."""
    fields: dict[str, Any] = {
        "owners": {"users": [scene.user], "guests": [], "groups": []},
        "deadline": datetime.now(UTC) + timedelta(days=7),
    }
    mark = books.tasks.begin()
    try:
        task = await org.tasks.create(title=title(mark), **fields)
    except TallyfyError as error:
        books.tasks.told(mark, error)
        raise
    books.tasks.note(mark, LANDED)
    await org.tasks.update(task.id, title=title(mark, changed=True), **fields)
    books.tasks.note(mark, UPDATED)
    await org.tasks.complete(task.id)
    books.tasks.note(mark, COMPLETED)


async def transfer(books: Books, scene: Scene, org: Organization, chance: Random) -> None:
    """Upload a file, download it and compare."""
    content, mark = chance.randbytes(chance.randint(1, 16_384)), books.files.begin()
    place: dict[str, Any] = {"subject_type": "Task", "subject_id": scene.subject, "uploaded_from": "soak"}
    try:
        asset = await org.files.upload(content, filename=f"{title(mark)}.txt", **place)
    except TallyfyError as error:
        books.files.told(mark, error)
        raise
    books.files.note(mark, LANDED)
    async with org.files.download(asset.id) as download:
        received = b"".join([piece async for piece in download])
    books.mangled += received != content


async def launch(books: Books, scene: Scene, org: Organization, chance: Random) -> None:
    """Launch several runs at once."""
    marks = {title(mark): mark for mark in (books.launches.begin() for _ in range(chance.randint(2, 5)))}
    rows = [{"key": name, "name": name} for name in marks]
    work = org.runs.launch_many(rows, checklist_id=scene.launched, concurrency=3)
    try:
        await work
    finally:
        for name, mark in marks.items():
            row = work.report.get(name)
            state = bulk.State.NOT_RUN if row is None else row.state
            books.launches.note(mark, _SAID.get(state, 0))
            books.unknown += state is bulk.State.UNKNOWN


_SAID = {bulk.State.DONE: LANDED, bulk.State.REFUSED: REFUSED, bulk.State.NOT_RUN: REFUSED}

ACTS: dict[Act, int] = {read: 8, write: 4, walk: 2, walk_ahead: 3, break_off: 2, transfer: 2, launch: 1}
"""What is done, and how often relative to the rest."""
