"""The sandbox's own routes below /_sandbox: a script for tests in another process. They need no token."""

from collections.abc import Callable
from typing import Any

from attrs import evolve

from . import faults
from .backend import Backend
from .exchange import Incoming, Reply, json_reply
from .records import is_list
from .storage import StorageError

PREFIX = "_sandbox"
Handler = Callable[[Backend, Incoming], Any]


def answer(backend: Backend, incoming: Incoming) -> Reply:
    """Answer a control request: 404 for an unknown one, 400 with the reason for a malformed one."""
    handler = _HANDLERS.get((incoming.method, "/".join(incoming.segments[1:])))
    if handler is None:
        known = sorted(f"{method} /{PREFIX}/{name}" for method, name in _HANDLERS)
        return json_reply({"message": "unknown control route", "known": known}, 404)
    try:
        done = handler(backend, incoming)
        backend.keep(reading=incoming.method == "GET")
    except (ValueError, TypeError, KeyError) as error:
        return json_reply({"message": f"{type(error).__name__}: {error}"}, 400)
    except StorageError as error:
        return json_reply({"message": f"Nothing was saved: {error}"}, 500)
    return json_reply(done)


def truth(backend: Backend, organization: str | None = None) -> dict[str, Any]:
    """Return the ids of every run and every task of an organization, archived ones named apart as well."""
    tenant = backend.world.tenants[organization or backend.credentials.organization]
    return {
        "organization": tenant.id,
        "runs": list(tenant.runs),
        "tasks": list(tenant.tasks),
        "archived_runs": [run.id for run in tenant.runs.values() if run.archived_at is not None],
        "archived_tasks": [task.id for task in tenant.tasks.values() if task.archived_at is not None],
        "checklists": list(tenant.checklists),
        "users": list(tenant.members),
    }


def stats(backend: Backend) -> dict[str, Any]:
    """Return all counters."""
    world = backend.world
    return {
        **backend.stats.as_dict(),
        "token_lives": world.vault.issued,
        "lives_used": world.vault.lives_used,
        "faults": backend.faults.struck,
        "launched": world.launched,
        "completed": world.completed,
    }


def _reset_stats(backend: Backend, _: Incoming) -> Any:
    backend.stats.reset()
    return stats(backend)


def _add_faults(backend: Backend, incoming: Incoming) -> Any:
    backend.faults.add(*faults.parse(incoming.body))
    return backend.faults.remaining()


def _clear_faults(backend: Backend, _: Incoming) -> Any:
    backend.faults.clear()
    return []


def _profile(backend: Backend, incoming: Incoming) -> Any:
    wanted = incoming.json_object().get("profile")
    for name in faults.PROFILES:
        if name == wanted:
            backend.faults.profile(name)
            return {"profile": name}
    raise ValueError(f"profile is one of {list(faults.PROFILES)}")


def _settings(backend: Backend, incoming: Incoming) -> Any:
    """Change settings while the sandbox runs, for example {"access_life": 2}."""
    changes = incoming.json_object()
    backend.settings = evolve(backend.settings, **changes)
    return changes


def _logout(backend: Backend, incoming: Incoming) -> Any:
    """Log a user (an id or an email; the seeded one if none is named) out of the web app."""
    return {"revoked": backend.world.logout(_user(backend, incoming))}


def _user(backend: Backend, incoming: Incoming) -> Any:
    named = incoming.json_object()
    return named.get("user", named.get("username", backend.credentials.username))


def _personal(backend: Backend, incoming: Incoming) -> Any:
    who = _user(backend, incoming)
    return {"personal_token": backend.world.personal_token(who, life=backend.settings.personal_life).value}


def _client(backend: Backend, incoming: Incoming) -> Any:
    """Register an application: {"redirect_uris": [...], "name": ..., "public": true, "organization": ...}."""
    wanted = {"organization": backend.credentials.organization, **incoming.json_object()}
    uris, name, public = wanted.get("redirect_uris", []), wanted.get("name", "Application"), wanted.get("public", False)
    if not is_list(uris) or not isinstance(name, str) or not isinstance(public, bool):
        raise TypeError("redirect_uris is a list, name a text, public true or false")
    unknown = sorted(set(wanted) - {"organization", "redirect_uris", "name", "public"})
    if unknown:
        raise ValueError(f"unknown keys {unknown}")
    client = backend.world.add_client(organization=wanted["organization"], redirect_uris=uris, name=name, public=public)
    return {"client_id": client.id, "client_secret": client.secret, "redirect_uris": list(client.redirect_uris)}


def _revoke(backend: Backend, incoming: Incoming) -> Any:
    """Revoke one access token, or all of them when none is named."""
    value = incoming.json_object().get("access_token")
    if value is None:
        return {"revoked": backend.world.vault.revoke_all_access()}
    backend.world.vault.access[value].revoked = True
    return {"revoked": 1}


def _webhooks(backend: Backend, _: Incoming) -> Any:
    """Tell what was posted to webhooks, with payloads, and how many are on their way."""
    hooks = backend.webhooks
    return {"pending": hooks.pending, "deliveries": [one.as_dict() for one in hooks.deliveries]}


def _forget_webhooks(backend: Backend, incoming: Incoming) -> Any:
    backend.webhooks.clear()
    return _webhooks(backend, incoming)


_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "truth"): lambda backend, incoming: truth(backend, incoming.query.get("organization")),
    ("GET", "stats"): lambda backend, _: stats(backend),
    ("DELETE", "stats"): _reset_stats,
    ("GET", "faults"): lambda backend, _: backend.faults.remaining(),
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "webhooks"): _webhooks,
    ("DELETE", "webhooks"): _forget_webhooks,
    ("POST", "profile"): _profile,
    ("POST", "settings"): _settings,
    ("POST", "token-life"): _settings,
    ("POST", "logout"): _logout,
    ("POST", "personal-token"): _personal,
    ("POST", "clients"): _client,
    ("POST", "revoke"): _revoke,
}
