"""Every operation that the package performs, with its dotted Python call."""

from __future__ import annotations

from importlib import import_module

from tallyfy_async.protocol.operation import Operation

_MODULES = (
    "auth.oauth_client",
    "resources.accounts",
    "resources.activity",
    "resources.applications",
    "resources.automations",
    "resources.captures",
    "resources.checklists",
    "resources.custom_fields",
    "resources.files",
    "resources.folders",
    "resources.groups",
    "resources.guests",
    "resources.legacy",
    "resources.me",
    "resources.micro",
    "resources.organizations",
    "resources.preruns",
    "resources.public_checklists",
    "resources.roles",
    "resources.runs",
    "resources.search",
    "resources.steps",
    "resources.tags",
    "resources.tasks",
    "resources.threads",
    "resources.users",
    "resources.utils",
    "resources.views",
    "resources.webhooks",
)


def operations() -> tuple[Operation, ...]:
    """Return all operations, ordered by operationId.

    Each tells its method, path, scopes, confidence, and the ``call`` that performs it, starting with ``client.``,
    ``org.`` or ``tallyfy_async.``.
    """
    found = {
        value.id: value
        for name in _MODULES
        for value in vars(import_module(f"tallyfy_async.{name}")).values()
        if isinstance(value, Operation)
    }
    return tuple(found[name] for name in sorted(found))
