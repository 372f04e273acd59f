"""How much may be sent again: a share of what is sent, so that a failing server is not buried under retries."""

from __future__ import annotations

from attrs import define, field

_PER_SLOT = 5
_LEAST = 10


@define(eq=False)
class RetryBudget:
    """A bucket of retries, shared by everything that uses one connection pool.

    It holds five for each connection, at least ten, and starts full: small programs and short outages, in which every
    call that is under way fails at once, never meet it. Each first attempt puts its share in, each retry takes one.
    """

    slots: int
    saved: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.saved = self.most

    @property
    def most(self) -> float:
        """What the bucket can hold."""
        return float(max(_LEAST, _PER_SLOT * self.slots))

    def earn(self, share: float | None) -> None:
        """Put the share of a first attempt in, None for nothing."""
        if share is not None and self.saved < (most := self.most):
            self.saved = min(most, self.saved + share)

    def spend(self) -> bool:
        """Take one retry out; say whether there was one."""
        if self.saved < 1.0:
            return False
        self.saved -= 1.0
        return True
