"""Many processes on many machines that behave like one good client.

::

    from tallyfy_async import TallyfyClient
    from tallyfy_async.fleet import RedisLimiter

    async with RedisLimiter("redis://redis.internal/0") as limiter:
        async with TallyfyClient(auth, token_store=store, limiter=limiter) as tallyfy:
            ...

A ``RedisStore`` shares the tokens, a ``RedisLimiter`` the pace: together they never ask for a token twice nor exceed
what the server allows one user, however many processes there are.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallyfy_async.fleet.access import Access
    from tallyfy_async.fleet.destinations.formats import NDJSON, Parquet, SQLite
    from tallyfy_async.fleet.destinations.postgres import PostgreSQL
    from tallyfy_async.fleet.job import export
    from tallyfy_async.fleet.jobs import bulk
    from tallyfy_async.fleet.limiter import RedisLimiter
    from tallyfy_async.fleet.report import FleetProgress, FleetReport
else:
    _NAMES = {
        "access": "Access",
        "destinations.formats": "NDJSON Parquet SQLite",
        "destinations.postgres": "PostgreSQL",
        "job": "export",
        "jobs": "bulk",
        "limiter": "RedisLimiter",
        "report": "FleetProgress FleetReport",
    }
    _MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return list(__all__)


__all__ = [
    "NDJSON",
    "Access",
    "FleetProgress",
    "FleetReport",
    "Parquet",
    "PostgreSQL",
    "RedisLimiter",
    "SQLite",
    "bulk",
    "export",
]
