"""Tags, folders, search, activity, watchers, the organization itself, small services."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import date
from typing import Any

from tallyfy_async.models.search import Where
from tests.contract.row import Row
from tests.resources.place import Place

ONBOARDING = Where("title", "=", "Onboarding")
URL = "https://hooks.tallyfy.test/tallyfy"


async def tag(at: Place) -> Any:
    """Create a tag."""
    return await at.org.tags.create(title="High Priority", color="#e74c3c")


async def tagged(at: Place) -> Any:
    """Put a new tag on a template."""
    made = await tag(at)
    return await at.org.tags.attach(made.id, subject_id=at.checklist().id, subject_type="Checklist")


async def folder(at: Place) -> Any:
    """Create a folder of processes."""
    return await at.org.folders.create(name="Q1 2026", folder_type="run")


async def filed(at: Place) -> Any:
    """File a run in a new folder."""
    made = await folder(at)
    return await at.org.folders.add_object(made.id, subject_id=at.run().id, subject_type="Run")


async def myself(at: Place) -> Any:
    """Read the caller."""
    return (await at.tallyfy.me.get()).id


async def watched(at: Place) -> Any:
    """Subscribe a URL."""
    return await at.org.webhooks.add_watcher(await myself(at), webhook=URL)


async def one(found: Awaitable[Any]) -> tuple[Any]:
    """Look for something in a list; the reply is the list, the result one of its items."""
    return (await found,)


ROWS = [
    Row(operation="list_tags", call=lambda at: at.org.tags.list()),
    Row(
        operation="list_tags",
        call=lambda at: at.org.tags.list(
            q="urgent", sort="-title", auto_generated=True, status="active", with_=["statistics"], per_page=5
        ),
    ),
    Row(operation="list_tags", call=lambda at: at.org.tags.list(all=False, auto_generated=False)),
    Row(operation="list_tags", call=lambda at: one(at.org.tags.find_by_name("Urgent"))),
    Row(operation="get_tag", arrange=tag, call=lambda at: at.org.tags.get(at.arranged.id, with_=["statistics"])),
    Row(operation="create_tag", call=lambda at: at.org.tags.create(title="High Priority", color="#e74c3c")),
    Row(operation="create_tag", call=lambda at: at.org.tags.create(title="Plain")),
    Row(
        operation="update_tag",
        arrange=tag,
        call=lambda at: at.org.tags.update(at.arranged.id, title="Higher", color="#ff0000"),
    ),
    Row(operation="update_tag", arrange=tag, call=lambda at: at.org.tags.update(at.arranged.id, color="#ff0000")),
    Row(operation="delete_tag", arrange=tag, call=lambda at: at.org.tags.delete(at.arranged.id)),
    Row(operation="restore_tag", call=lambda at: at.org.tags.restore("0a" * 16)),
    Row(
        operation="attach_tag",
        arrange=tag,
        call=lambda at: at.org.tags.attach(at.arranged.id, subject_id=at.run().id, subject_type="Run"),
    ),
    Row(operation="detach_tag", arrange=tagged, call=lambda at: at.org.tags.detach(int(at.arranged.id))),
    Row(operation="list_folders", call=lambda at: at.org.folders.list()),
    Row(
        operation="list_folders",
        call=lambda at: at.org.folders.list(folder_type="run", q="q1", sort="position", with_=["children"], per_page=5),
    ),
    Row(operation="list_folders", call=lambda at: one(at.org.folders.find_by_name("HR Templates"))),
    Row(operation="get_folder", arrange=folder, call=lambda at: at.org.folders.get(at.arranged.id)),
    Row(operation="create_folder", call=lambda at: at.org.folders.create(name="Bills")),
    Row(
        operation="create_folder",
        arrange=folder,
        call=lambda at: at.org.folders.create(name="January", folder_type="run", parent_id=at.arranged.id),
    ),
    Row(operation="update_folder", arrange=folder, call=lambda at: at.org.folders.update(at.arranged.id, name="Q2")),
    Row(
        operation="update_folder",
        arrange=folder,
        call=lambda at: at.org.folders.update(at.arranged.id, parent_id=None),
    ),
    Row(operation="delete_folder", arrange=folder, call=lambda at: at.org.folders.delete(at.arranged.id)),
    Row(
        operation="add_folder_object",
        arrange=folder,
        call=lambda at: at.org.folders.add_object(at.arranged.id, subject_id=at.run().id, subject_type="Run"),
    ),
    Row(
        operation="remove_folder_object",
        arrange=filed,
        call=lambda at: at.org.folders.remove_object(at.arranged.id),
    ),
    Row(operation="search", call=lambda at: at.org.search.query("onboarding")),
    Row(
        operation="search",
        call=lambda at: at.org.search.query(
            "new client",
            on=["blueprint", "process"],
            where=ONBOARDING & (Where("starter", "=", 1001) | Where("date", ">=", date(2026, 1, 31))),
            tags=True,
            per_page=20,
        ),
    ),
    Row(
        operation="search",
        call=lambda at: at.org.search.list("client", "task", where=Where("title", "<>", "Call")).collect(),
    ),
    Row(operation="list_activity_feeds", call=lambda at: at.org.activity.list()),
    Row(
        operation="list_activity_feeds",
        call=lambda at: at.org.activity.list(
            entity_type="checklist",
            entity_id=at.checklist().id,
            type="Blueprint",
            verb="updated",
            actor_type="user",
            actor_id=1001,
            source="Member",
            created_after=date(2025, 1, 1),
            created_before="2026-12-31",
            search="title",
            field="title",
            sort="-created_at",
            per_page=5,
        ),
    ),
    Row(
        operation="list_activity_feeds",
        call=lambda at: at.org.activity.list(
            actor_email="ada@example.com", origin_type="checklist", origin_id=at.checklist().id
        ),
    ),
    Row(operation="list_watchers", call=lambda at: at.org.webhooks.list_watchers()),
    Row(operation="list_watchers", call=lambda at: at.org.webhooks.list_watchers(notification="webhook")),
    Row(
        operation="add_watcher",
        arrange=myself,
        call=lambda at: at.org.webhooks.add_watcher(at.arranged, webhook=URL),
    ),
    Row(
        operation="remove_watcher",
        arrange=watched,
        call=lambda at: at.org.webhooks.remove_watcher(at.arranged.id),
    ),
    Row(operation="get_organization", call=lambda at: at.org.get()),
    Row(operation="get_organization", call=lambda at: at.org.get(with_=["subscription", "billing_info"])),
    Row(
        operation="update_organization",
        call=lambda at: at.org.update(
            name="Tallyfy 1",
            industry="Software & IT",
            settings={"determine_deadline": {"workdays": 0, "holidays": 1}, "workdays": ["Monday"]},
        ),
    ),
    Row(operation="update_organization", call=lambda at: at.org.update(city="Los Angeles")),
    Row(operation="get_billing_account", call=lambda at: at.org.billing.get_account()),
    Row(
        operation="update_billing_account",
        call=lambda at: at.org.billing.update_account(email="bills@example.com", address={"city": "Berlin"}),
    ),
    Row(operation="update_billing_info", call=lambda at: at.org.billing.update_info(token_id="recurly-token")),
    Row(operation="update_subscription", call=lambda at: at.org.billing.update_subscription(plan_code="pro")),
    Row(operation="get_branding", call=lambda at: at.org.branding.get()),
    Row(operation="update_branding", call=lambda at: at.org.branding.update(bg_color="#ffffff")),
    Row(operation="upload_logo", call=lambda at: at.org.branding.upload_logo(b"GIF89a", filename="logo.gif")),
    Row(operation="get_logo", call=lambda at: at.org.branding.get_logo("0a" * 16)),
    Row(operation="get_support_token", call=lambda at: at.tallyfy.utils.support_token()),
    Row(operation="check_url", call=lambda at: at.tallyfy.utils.check_url("https://go.tallyfy.com/a?b=c&d=e")),
    Row(operation="get_config", call=lambda at: at.tallyfy.utils.config()),
    Row(operation="list_countries", call=lambda at: at.tallyfy.utils.list_countries()),
]
