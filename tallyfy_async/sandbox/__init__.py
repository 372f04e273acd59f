"""A local Tallyfy for tests, demos and development (extra `sandbox`).

It is written from the API's contract and knows nothing of the client, so that the two can disagree. Names load
lazily: importing this package needs no extra.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clients import Client
    from .faults import UNSET, DeliveryFault, Fault, Faults
    from .proxy import Proxy, Rule
    from .sandbox import Sandbox
    from .settings import Credentials, Settings
    from .stats import Received, Stats
    from .storage import StorageError
    from .webhooks import Delivery, Webhooks
    from .world import World
else:
    from importlib import import_module

    _HOMES = {
        "UNSET": "faults",
        "Client": "clients",
        "Credentials": "settings",
        "Delivery": "webhooks",
        "DeliveryFault": "faults",
        "Fault": "faults",
        "Faults": "faults",
        "Proxy": "proxy",
        "Received": "stats",
        "Rule": "proxy",
        "Sandbox": "sandbox",
        "Settings": "settings",
        "Stats": "stats",
        "StorageError": "storage",
        "Webhooks": "webhooks",
        "World": "world",
    }

    def __getattr__(name: str) -> object:
        """Import a public name on first use."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = [
    "UNSET",
    "Client",
    "Credentials",
    "Delivery",
    "DeliveryFault",
    "Fault",
    "Faults",
    "Proxy",
    "Received",
    "Rule",
    "Sandbox",
    "Settings",
    "Stats",
    "StorageError",
    "Webhooks",
    "World",
]
