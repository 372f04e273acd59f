"""Split a flattened address, in which ``WILD`` stands for placeholders, into method, host and path."""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from tallyfy_async.scan.paths import METHODS, WILD, Host, Place, host_kind

_ADDRESS: Final = re.compile(
    rf"(?P<method>(?:{'|'.join(METHODS)})\s+)?"
    rf"(?:(?:[A-Za-z][\w+.-]*|{WILD})://(?P<host>[^/\s?#]*)|(?P<wild>{WILD}(?:/?{WILD})*+))?"
    rf"(?P<base>(?:/?(?:api|v\d+)(?=/))*+)(?P<path>/?[^\s?#]*+)(?P<rest>[?#].*)?\s*",
    re.DOTALL,
)
BASE_NAME: Final = re.compile(
    r"base|url|uri|host|api|endpoint|root|server|domain|prefix|tallyfy|site|origin", re.IGNORECASE
)
"""What names of base addresses have in them."""


@frozen(kw_only=True)
class Address:
    """An address that was taken apart.

    Attributes:
        place: the path and what is known of it.
        offset: where the first part of the path starts in the flattened text.

    """

    place: Place
    offset: int


def address(flat: str, method: str | None = None, base_name: str | None = None) -> Address | None:
    """Take a flattened address apart, None where the text is none.

    ``base_name`` is the name of the placeholder that the text starts with, where it has one.
    """
    found = _ADDRESS.fullmatch(flat)
    if found is None or not found["path"].strip("/"):
        return None
    path, offset = found["path"], found.start("path")
    slash = path.startswith("/")
    told = found["host"] is not None or bool(found["base"])
    rooted = told or slash
    if found["wild"] is not None:
        rooted = slash and found["wild"] == WILD and (base_name is None or bool(BASE_NAME.search(base_name)))
    verb = (found["method"] or "").strip() or method
    segments = path.lstrip("/").rstrip("/").split("/")
    return Address(
        place=Place(
            segments=tuple(segments),
            host=host_kind(found["host"]) if found["host"] is not None else Host.UNKNOWN,
            method=verb,
            rooted=rooted,
            complete=not path.endswith("/"),
        ),
        offset=offset + len(path) - len(path.lstrip("/")),
    )
