"""What a call asks of the pace: the seam between the pipeline and the limiter."""

from __future__ import annotations

from typing import Protocol

from tallyfy_async.transport.budget import RetryBudget
from tallyfy_async.transport.caps import HourlyCaps


class Pace(Protocol):
    """How many exchanges at once, and how fast, for everybody who shares it.

    Only ``acquire`` may wait; the rest takes note at once and must not fail. So an implementation may share its state
    with other processes: it keeps a copy here, tells the others behind the scenes, and asks them in ``acquire``.

    Attributes:
        slots: the most exchanges that may ever run at once.
        budget: how much may be sent again.
        caps: what is known of the hourly caps of organizations, and of users who were told to wait for long.

    """

    slots: int
    budget: RetryBudget
    caps: HourlyCaps

    @property
    def width(self) -> int:
        """How many exchanges may run at once now, between 1 and ``slots``."""
        ...

    async def acquire(self, whose: str | None = None, organization: str | None = None) -> None:
        """Wait, first come, first served, until an exchange may begin; cancelled, it leaves nothing taken.

        ``whose`` tells users apart, by whatever name; ``organization`` is the id of the one that the exchange is for.
        """
        ...

    def park(self) -> None:
        """Note that an exchange that ``acquire`` let begin has only a body left to read, which loads the server little.

        It counts no more among those that run, but its connection stays taken until it is released.
        """
        ...

    def release(self, *, parked: bool = False) -> None:
        """End an exchange that ``acquire`` let begin, or one that was parked since."""
        ...

    def pause(self, seconds: float, whose: str | None = None) -> None:
        """Hold back every exchange that has not begun for ``seconds`` from now; a longer pause stays.

        It was asked of the user ``whose``; where users are not told apart, it holds all of them.
        """
        ...

    def succeeded(self, key: str | None, began: float, latency: float) -> None:
        """Learn that an exchange which began then, on the monotonic clock, succeeded after ``latency`` seconds.

        ``key`` groups exchanges that take about equally long, None for one whose latency says nothing.
        """
        ...

    def refused(self, began: float) -> None:
        """Learn that the server refused an exchange which began then for being one too many."""
        ...

    def remain(self, count: int, began: float, whose: str | None = None) -> None:
        """Learn from the reply to an exchange which began then how many more the server allows its user for now.

        ``whose`` tells users apart, by whatever name: it is the name of the line of tokens that the exchange went with.
        """
        ...
