"""The one mutable thing behind a sandbox: its settings, world, faults and statistics."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable

from . import seed as seeding
from .faults import Faults
from .settings import Credentials, Settings
from .stats import Stats
from .world import World


class Backend:
    """Hold the state that application, control routes and facade share."""

    def __init__(self, settings: Settings, seed: int, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.world = World(rng=random.Random(f"ids-{seed}"), clock=clock)  # noqa: S311 - ids are no secrets
        self.faults = Faults(seed)
        self.stats = Stats()
        self.credentials: Credentials = seeding.grow(self.world, settings, seed)
        self.recent: defaultdict[str, deque[float]] = defaultdict(deque)
        """Caller -> moments of the calls of the last minute, for the rate limit."""
