"""What the seeded organization keeps about its people, and its audit trail. Nothing here draws a random number."""

from .activity import activity
from .records import CustomField, Preference, ProcessView, Role
from .settings import Settings
from .world import Tenant

DAY = 24 * 3600
HOUR = 3600
COMPANIES = ("Partner & Co", "Client Works", "Auditor LLP", "Supplier GmbH")
FIELDS = (
    ("cost_center", "process", "text", "org"),
    ("budget", "process", "number", "org"),
    ("origin", "process", "text", "system"),
    ("badge_number", "member", "text", "org"),
    ("account_manager", "guest", "email", "org"),
)


def grow_people(tenant: Tenant, settings: Settings) -> None:
    """Add details of guests, a role, custom fields, what the first member saved, and the newest activity."""
    for number, guest in enumerate(tenant.guests.values()):
        guest.created_at = settings.seed_epoch - (200 - number) * DAY
        guest.first_name, guest.last_name = guest.email.partition("@")[0].capitalize(), "External"
        guest.details = {"company_name": COMPANIES[number % len(COMPANIES)], "status": "active"}
    since = tenant.created_at + 2 * DAY
    tenant.roles[4] = Role(id=4, name="auditor", permissions=["view_reports"], created_at=since, updated_at=since)
    for number, (key, applies_to, kind, key_type) in enumerate(FIELDS, 1):
        tenant.custom_fields[number] = CustomField(
            id=number, key=key, applies_to=applies_to, field_type=kind, key_type=key_type
        )
    me = next(iter(tenant.members))
    tenant.preferences[me, "home_count"] = Preference(slug="home_count", value="8", metadata={}, updated_at=since)
    tenant.process_views[1] = ProcessView(
        id=1, user_id=me, name="my view", filter_type="any", is_active=True, criteria=[]
    )
    _history(tenant)


def _history(tenant: Tenant) -> None:
    """Tell of the newest runs: their launch and the tasks that were completed."""
    runs = {run.id: run for run in list(tenant.runs.values())[-25:]}
    done = [task for task in tenant.tasks.values() if task.run_id in runs and task.completed_at is not None]
    for run in runs.values():
        text = f"Launched process: {run.name}"
        activity(tenant, "created", ("run", run.id), text, now=run.created_at, actor=run.started_by)
    for task in sorted(done, key=lambda row: row.completed_at or 0):
        at, parent = task.completed_at or 0, ("run", task.run_id or "")
        text = f"Completed task: {task.title}"
        activity(tenant, "completed", ("task", task.id), text, now=at, actor=task.completer_id, parent=parent)
