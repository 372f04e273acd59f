"""What hangs on the work of the seeded organization: folders, comments, a file. It has random numbers of its own."""

import random

from .records import Asset, Folder, Run, Task, Thread
from .settings import Settings
from .world import Tenant

DAY = 24 * 3600
HOUR = 3600
FOLDERS = (
    ("checklist", "Operations", None),
    ("checklist", "Onboarding", "Operations"),
    ("run", "This quarter", None),
    ("run", "Key accounts", None),
)
REMARKS = ("Please look at this before Friday, @[{user}].", "The customer called back.", "Done for the larger part.")
CONTENT = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def grow_work(tenant: Tenant, settings: Settings, seed: int) -> None:
    """Add folders with templates and runs in them, comments on open tasks, and one file of a run."""
    rng = random.Random(f"tallyfy-sandbox-work-{seed}")  # noqa: S311 - test data
    since = tenant.created_at + 3 * DAY
    for row in FOLDERS:
        _folder(rng, tenant, row, since)
    named = {folder.name: folder.id for folder in tenant.folders.values()}
    for checklist in list(tenant.checklists.values())[:3]:
        checklist.folder_id = named["Operations"]
    live = [run for run in tenant.runs.values() if run.archived_at is None]
    for number, run in enumerate(live[-12:]):
        run.folders = [named["Key accounts" if number % 4 == 0 else "This quarter"]]
        tenant.pivot("folder", run.id, run.folders[0])
    tasks = [task for run in live[-12:] for task in tenant.tasks_of(run) if task.is_open]
    for number, task in enumerate(tasks[:6]):
        _comment(tenant, task, number, settings.seed_epoch - (6 - number) * HOUR)
    if live:
        _file(rng, tenant, live[-1])


def _folder(rng: random.Random, tenant: Tenant, row: tuple[str, str, str | None], created: int) -> None:
    kind, name, parent = row
    above = next((folder.id for folder in tenant.folders.values() if folder.name == parent), None)
    siblings = [f for f in tenant.folders.values() if (f.folder_type, f.parent_id) == (kind, above)]
    folder = Folder(
        id=_hex(rng), name=name, folder_type=kind, parent_id=above, position=len(siblings) + 1, created_at=created
    )
    tenant.folders[folder.id] = folder


def _comment(tenant: Tenant, task: Task, number: int, moment: int) -> None:
    thread = Thread(
        id=str(tenant.next_increment()),
        content=REMARKS[number % len(REMARKS)].format(user=task.starter_id),
        state="open" if number % 2 else "hide-for-guests",
        author_id=(task.users or [task.starter_id])[0],
        task_id=task.id,
        mentions=[] if number % len(REMARKS) else [task.starter_id],
        created_at=moment,
        updated_at=moment,
    )
    tenant.threads.setdefault(task.id, []).append(thread)


def _file(rng: random.Random, tenant: Tenant, run: Run) -> None:
    asset = Asset(
        id=_hex(rng),
        filename="contract.pdf",
        content_type="application/pdf",
        size=len(CONTENT),
        version=1,
        uploaded_from="ko_field",
        uploaded_at=run.created_at,
        uploaded_by=run.started_by,
        subject_type="Run",
        subject_id=run.id,
        checklist_id=run.checklist_id,
    )
    tenant.assets[asset.id] = asset
    tenant.blobs[asset.id] = CONTENT


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"
