"""Subscriptions of URLs to everything that happens in an organization (processes.md section 10)."""

from . import people
from .problems import Invalid, forbidden, resource_not_found
from .records import JsonObject, Member, Watcher, whole
from .world import Tenant

_WORDS = {"object_type": "organization", "notification_type": "webhook", "frequency": "electric"}


def add(tenant: Tenant, me: Member, row: Member, body: JsonObject) -> Watcher:
    """Subscribe a URL. The member of the path must be the caller; a known URL is kept once."""
    if row is not me:
        raise forbidden("You can only subscribe yourself.")
    wanted = {**_WORDS, "object_id": tenant.id}
    errors: people.Errors = {}
    for name in (*wanted, "webhook"):
        if not body.get(name):
            errors[name] = [f"The {name.replace('_', ' ')} field is required."]
        elif name != "webhook" and body[name] != wanted[name]:
            errors[name] = [f"The selected {name.replace('_', ' ')} is invalid."]
    host = people.host_of(body.get("webhook"))
    if "webhook" not in errors and (host is None or people.dead_host(host)):
        errors["webhook"] = ["The webhook format is invalid."]
    if errors:
        raise Invalid(errors)
    known = [w for w in tenant.watchers.values() if (w.user_id, w.webhook) == (me.user.id, body["webhook"])]
    return known[0] if known else _store(tenant, me, body)


def _store(tenant: Tenant, me: Member, body: JsonObject) -> Watcher:
    tenant.last_watcher += 1
    words = {name: str(body[name]) for name in (*_WORDS, "object_id", "webhook")}
    watcher = Watcher(id=tenant.last_watcher, user_id=me.user.id, **words)
    tenant.watchers[watcher.id] = watcher
    tenant.changed()
    return watcher


def remove(tenant: Tenant, me: Member, watcher_id: str) -> None:
    """End a subscription of one's own, or any as an administrator. Raise 404 or 403."""
    number = whole(watcher_id)
    watcher = None if number is None else tenant.watchers.get(number)
    if watcher is None:
        raise resource_not_found()
    if watcher.user_id != me.user.id and not me.is_admin:
        raise forbidden("You can only end your own subscriptions.")
    del tenant.watchers[watcher.id]
    tenant.changed()
