"""Every operation that the package performs, with its dotted Python call."""

from __future__ import annotations

from importlib import import_module

from tallyfy_async.protocol.operation import Operation

_MODULES = (
    "auth.oauth_client",
    "resources.applications",
    "resources.checklists",
    "resources.me",
    "resources.runs",
    "resources.tasks",
    "resources.users",
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
