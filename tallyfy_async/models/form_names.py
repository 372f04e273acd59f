"""Finding fields, options and columns by the names that people give them."""

import difflib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
_MOST_NAMES = 10


class UnfitError(Exception):
    """A key or a value does not fit the form: what is wrong and the way to it, never the value."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def fold(text: str) -> str:
    """Return what stays of a text where case, spelling of accents and blanks do not count."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def named(text: str, candidates: Sequence[T], names: Callable[[T], Iterable[str]]) -> list[T]:
    """Return the candidates that have this name exactly or, where there are none, up to case and blanks."""
    if exact := [candidate for candidate in candidates if text in names(candidate)]:
        return exact
    folded = fold(text)
    return [candidate for candidate in candidates if any(fold(name) == folded for name in names(candidate))]


def advice(text: str, known: Iterable[str]) -> str:
    """Return "did you mean …", or the names that there are."""
    folded = {fold(name): name for name in known if name}
    if close := difflib.get_close_matches(fold(text), folded, n=1):
        return f"did you mean {folded[close[0]]!r}?"
    return f"there is {listed(folded.values())}" if folded else "there is none"


def listed(names: Iterable[str]) -> str:
    """Return some names, quoted, and how many more there are."""
    quoted = [repr(name) for name in names]
    more = len(quoted) - _MOST_NAMES
    return ", ".join(quoted[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
