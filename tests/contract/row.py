"""A row of the table that calls every method of the client once or more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from tests.resources.place import Place


@frozen(kw_only=True)
class Row:
    """One call.

    Attributes:
        operation: what the call performs; calls that read first (an update that merges) end with it.
        call: makes the call on a place: a client and the seeded sandbox whose rows give the ids. The same row is run
            against a scripted server that answers with the contract's examples, and against the sandbox itself.
        arrange: puts the sandbox into the state that the call needs, through its world or with calls of the client to
            the sandbox; what it returns is at hand as ``at.arranged``. It runs before the call in both proofs.

    """

    operation: str
    call: Callable[[Place], Awaitable[Any]]
    arrange: Callable[[Place], Any] | None = None
