"""The one mutable thing behind a sandbox: its settings, world, faults and statistics."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable
from os import PathLike

from attrs import asdict, evolve

from . import seed as seeding
from .faults import Faults
from .settings import Credentials, Settings
from .stats import Stats
from .storage import Storage, StorageError
from .webhooks import Webhooks
from .world import World

SIZES = ("organizations", "templates", "runs", "tasks", "users", "seed_epoch")
"""Settings of the seeding alone. A world that comes out of a file brings its own."""


class Backend:
    """Hold the state that application, control routes and facade share."""

    def __init__(
        self,
        settings: Settings,
        seed: int,
        clock: Callable[[], float] = time.time,
        db: str | PathLike[str] | None = None,
    ) -> None:
        self.settings = settings
        self.seed = seed
        """What the world was seeded with."""
        self.world = World(rng=random.Random(f"ids-{seed}"), clock=clock)  # noqa: S311 - ids are no secrets
        self.faults = Faults(seed)
        self.stats = Stats()
        self.webhooks = Webhooks(lambda: self.settings, self.faults, self.stats)
        self.storage = None if db is None else Storage(db)
        self.restored = self.storage is not None and self.storage.origin is not None
        """The world came out of a file."""
        try:
            self.credentials: Credentials = self._populate()
        except BaseException:
            self.close()
            raise
        self.recent: defaultdict[str, deque[float]] = defaultdict(deque)
        """Caller -> moments of the calls of the last minute, for the rate limit."""

    def keep(self, organization: str | None = None, *, reading: bool = False) -> None:
        """Write what a request has changed to the file, if there is one. Raise StorageError when that fails."""
        if self.storage is not None:
            self.storage.save(self.world, organization=organization, reading=reading)

    def close(self) -> None:
        """Release the file, if there is one."""
        if self.storage is not None:
            self.storage.close()

    def _populate(self) -> Credentials:
        if self.storage is None or self.storage.origin is None:
            credentials = seeding.grow(self.world, self.settings, self.seed)
            if self.storage is not None:
                sizes = {name: getattr(self.settings, name) for name in SIZES}
                note = {"seed": self.seed, "sizes": sizes, "credentials": asdict(credentials)}
                self.storage.create(self.world, note)
            return credentials
        self.storage.load(self.world)
        try:
            origin = self.storage.origin
            self.seed, self.settings = origin["seed"], evolve(self.settings, **origin["sizes"])
            return Credentials(**origin["credentials"])
        except (LookupError, TypeError, ValueError) as error:
            raise StorageError(f"{self.storage.path} is damaged: its origin does not tell the credentials") from error
