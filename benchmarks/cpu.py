"""Which core a process runs on."""

from __future__ import annotations

import os


def pin(place: int) -> None:
    """Keep this process on one core: 0 for clients, -1 for servers. Do nothing where the system has no way to.

    Otherwise the two would move about, and a client would pay for the caches that its server emptied.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[place]})
