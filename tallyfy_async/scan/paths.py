"""Tell an old endpoint by its path. ``WILD`` stands for whatever a program puts in while it runs."""

from __future__ import annotations

import enum
import re
from typing import Final

from attrs import frozen

from tallyfy_async.protocol.migration import MIGRATIONS, Kind, Migration

WILD: Final = "\ue000"
"""A character of the private use area."""

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class Host(enum.Enum):
    """Whom a path is asked of."""

    TALLYFY = enum.auto()
    UNKNOWN = enum.auto()
    """No host is told: a path alone, or a placeholder, or this machine."""
    OTHER = enum.auto()


@frozen(kw_only=True)
class Place:
    """A path in a source.

    Attributes:
        segments: its parts, with ``WILD`` for what is not known.
        host: whom it is asked of.
        method: HTTP method, None where the source does not tell.
        rooted: whether the path starts at the base URL for certain: after a host, a slash, or one placeholder for it.
        complete: whether the last part ends where the text ends; a slash at the end leaves it open.

    """

    segments: tuple[str, ...]
    host: Host = Host.UNKNOWN
    method: str | None = None
    rooted: bool = True
    complete: bool = True


# Their paths are words that other servers know as well: only where Tallyfy is meant do they count.
_COMMON: Final = frozenset({1, 2, 4, 11, 22, 23, 25})
# Nothing but the whole address tells these from a base URL or from another server's token endpoint.
_NEED_METHOD_OR_HOST: Final = frozenset({4, 11})
# The contract still has other methods at the same path.
_NEED_METHOD: Final = frozenset({19})
_LOCAL: Final = re.compile(r"(?:.*@)?(?:localhost|127\.|0\.0\.0\.0|\[?::1|host\.docker)", re.IGNORECASE)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/"))


def _literal(part: str) -> bool:
    return not part.startswith("{")


_ROWS: Final = sorted(((_parts(row.path), row) for row in MIGRATIONS), key=lambda one: -sum(map(_literal, one[0])))
_BY_LENGTH: Final = {
    length: [(parts, row) for parts, row in _ROWS if len(parts) == length] for length in {len(one) for one, _ in _ROWS}
}
LONGEST: Final = max(_BY_LENGTH)
"""Parts of the longest path that is looked for."""
_ONE_WORD: Final = frozenset(row.row for parts, row in _ROWS if len(parts) == 1)


def host_kind(host: str) -> Host:
    """Return whom a host name means; placeholders and this machine may be anybody."""
    if "tallyfy" in host.lower():
        return Host.TALLYFY
    if not host or WILD in host or re.search(r"[{$<%]", host) or _LOCAL.match(host):
        return Host.UNKNOWN
    return Host.OTHER


def old_endpoint(place: Place, *, meant: bool) -> Migration | None:
    """Return the row of seed 000 that a path falls under, None for every other path.

    ``meant`` says whether the file is about Tallyfy.
    """
    if place.host is Host.OTHER:
        return None
    method = "GET" if place.method == "HEAD" else place.method
    for parts, row in _BY_LENGTH.get(len(place.segments), ()):
        if _covers(parts, place.segments):
            if method is not None and row.methods and method not in row.methods:
                continue
            return row if _certain(row, place, meant=meant or place.host is Host.TALLYFY) else None
    return None


def may_be_old(segments: tuple[str, ...]) -> bool:
    """Whether a path falls under a row, whatever its method and host are."""
    return any(_covers(parts, segments) for parts, _ in _BY_LENGTH.get(len(segments), ()))


def _covers(parts: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    return all(part == given if _literal(part) else given for part, given in zip(parts, segments, strict=True))


def _certain(row: Migration, place: Place, *, meant: bool) -> bool:
    if row.row in _COMMON and not meant:
        return False
    if row.row in _ONE_WORD and not place.rooted:
        return False
    if row.row in _NEED_METHOD_OR_HOST and not place.complete:
        return False
    if place.method is None:
        if row.row in _NEED_METHOD:
            return False
        return row.row not in _NEED_METHOD_OR_HOST or place.host is Host.TALLYFY
    return True


def sure_to_rename(row: Migration, place: Place) -> bool:
    """Whether a rename is right whatever the program does: an address whose use is not seen may be a mere prefix."""
    if row.kind is not Kind.RENAMED or not place.complete:
        return False
    return place.method is not None or row.row not in _NEED_METHOD_OR_HOST


@frozen(kw_only=True)
class Rename:
    """Which parts of a path change.

    Attributes:
        first, last: indexes of the parts that go, last excluded.
        text: what comes in their place.

    """

    first: int
    last: int
    text: str


def rename_of(row: Migration) -> Rename:
    """Return the parts that differ between the old and the new path of a renamed row."""
    old, new = _parts(row.path), _parts(row.replacement_path or "")
    first = 0
    while first < min(len(old), len(new)) and old[first] == new[first]:
        first += 1
    last = 0
    # Placeholders stay; a word that both end with stays a part of the text that is looked for, except at the very end.
    while last < min(len(old), len(new)) - first and not _literal(old[-1 - last]) and old[-1 - last] == new[-1 - last]:
        last += 1
    return Rename(first=first, last=len(old) - last, text="/".join(new[first : len(new) - last]))
