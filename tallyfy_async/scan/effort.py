"""How much is spent on one file, so that hostile or generated text costs seconds and not hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from attrs import define

from tallyfy_async.scan.findings import Hit

T = TypeVar("T")

TEXT: Final = 1
"""Price of a text in a syntax tree or in a document."""
WORD: Final = 8
"""Price of a word that may begin an address."""
ADDRESS: Final = 160
"""Price of an address whose method is looked for."""
HIT: Final = 240
"""Price of what is reported: a file gives about a thousand of them."""


@define(eq=False)
class Effort:
    """What is left to spend on a file, in the prices above; counted and not timed, so that every scan ends alike.

    Attributes:
        left: below zero once something was left out.

    """

    left: int = 400_000

    @property
    def spent(self) -> bool:
        """Whether a part of the file was left out."""
        return self.left < 0

    def allows(self, price: int) -> bool:
        """Pay, and tell whether that was still to be had."""
        if self.left >= 0:
            self.left -= price
        return self.left >= 0

    def each(self, price: int, things: Iterable[T]) -> Iterator[T]:
        """Give things as long as they can be paid for."""
        for thing in things:
            if not self.allows(price):
                return
            yield thing

    def hits(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        """Give hits as long as they can be paid for."""
        return self.each(HIT, hits)
