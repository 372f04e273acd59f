"""The token record, and how long it is fresh."""

from __future__ import annotations

import math
from typing import Any, Self

from attrs import evolve, field, frozen

from tallyfy_async.protocol.redaction import Secret


def to_secret(value: str | Secret) -> Secret:
    """Return the value as a Secret (a plain function, because type checkers read no method as a converter)."""
    return Secret.of(value)


def _optional_secret(value: str | Secret | None) -> Secret | None:
    return None if value is None else Secret.of(value)


EMPTY = Secret("none")
"""What stands for an access token in a record that has none. No request carries it: such a record is expired."""


@frozen(kw_only=True)
class Token:
    """An access token with what belongs to it: one record, written and read as a whole.

    Attributes:
        access_token: what goes behind ``Bearer``.
        refresh_token: None where the grant gives none.
        scopes: scopes granted, None where the server does not tell.
        issued_at: wall time of the moment at which the token request was sent, in epoch seconds.
        lifetime: seconds that it lives from then, None where the server does not tell.
        generation: number of the token in its line, from 1.
        presented: the refresh token was sent and no answer is recorded: it may be spent.

    """

    access_token: Secret = field(converter=to_secret)
    refresh_token: Secret | None = field(default=None, converter=_optional_secret)
    scopes: frozenset[str] | None = None
    issued_at: float
    lifetime: float | None = None
    generation: int = 1
    presented: bool = False

    @property
    def expires_at(self) -> float | None:
        """Wall time of its end in epoch seconds, None where unknown."""
        return None if self.lifetime is None else self.issued_at + self.lifetime

    @property
    def ended(self) -> bool:
        """Whether this is the tombstone of a line that was ended on purpose."""
        return self.access_token == EMPTY and self.refresh_token is None and self.generation > 0

    @classmethod
    def to_trade_in(cls, once: Secret, at: float) -> Token:
        """Return the expired record that a line begins with which has only a refresh token, or a code, to trade in."""
        return cls(access_token=EMPTY, refresh_token=once, issued_at=at, lifetime=0.0, generation=0)

    @classmethod
    def tombstone(cls, *, generation: int, at: float) -> Token:
        """Return the record that ends a line at the wall time ``at``: late writers of older generations lose to it."""
        return cls(access_token=EMPTY, issued_at=at, lifetime=0.0, generation=generation)

    def mark(self, *, presented: bool) -> Token:
        """Return the record with the marker that its refresh token is, or is not, on its way."""
        return evolve(self, presented=presented)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        msg = "a Token is not pickled, because a pickle holds it in the clear: use a token store"
        raise TypeError(msg)


@frozen(kw_only=True)
class Held:
    """A token in use, with the two windows before its end as monotonic and as wall deadlines.

    Wall time jumps and monotonic time stands still while the machine sleeps, so the earlier of the two deadlines wins.

    Attributes:
        token: the record.
        fresh_until, fresh_until_wall: before it, the token is used without a thought; then, in the advisory window,
            one caller refreshes it while the others go on with it.
        usable_until, usable_until_wall: from here on everybody waits for a new one.

    """

    token: Token
    fresh_until: float
    fresh_until_wall: float
    usable_until: float
    usable_until_wall: float

    def fresh(self, monotonic: float, wall: float) -> bool:
        """Whether the token needs no refresh."""
        return monotonic < self.fresh_until and wall < self.fresh_until_wall

    def usable(self, monotonic: float, wall: float) -> bool:
        """Whether the token can still be sent."""
        return monotonic < self.usable_until and wall < self.usable_until_wall


_MANDATORY_SHARE = 0.02
_MANDATORY_CAP = 10.0
_ADVISORY_SHARE = 0.1


def hold(token: Token, *, monotonic: float, wall: float, leeway: float) -> Held:
    """Return the token with its deadlines, seen at ``monotonic`` and ``wall``.

    The advisory window is ``leeway`` seconds, but no more than a tenth of the life, so that a short-lived token is used
    before it is renewed. A token of unknown life is fresh until the server refuses it.
    """
    if token.lifetime is None:
        return Held(
            token=token,
            fresh_until=math.inf,
            fresh_until_wall=math.inf,
            usable_until=math.inf,
            usable_until_wall=math.inf,
        )
    # A record from a machine whose clock is ahead does not live longer than its whole life from now.
    rest = min(token.issued_at - wall, 0.0) + token.lifetime
    advisory = min(leeway, token.lifetime * _ADVISORY_SHARE)
    mandatory = min(_MANDATORY_CAP, advisory, token.lifetime * _MANDATORY_SHARE)
    return Held(
        token=token,
        fresh_until=monotonic + rest - advisory,
        fresh_until_wall=wall + rest - advisory,
        usable_until=monotonic + rest - mandatory,
        usable_until_wall=wall + rest - mandatory,
    )
