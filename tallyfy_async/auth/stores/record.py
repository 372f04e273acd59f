"""Token records as bytes: one JSON text holds both tokens, so that one write keeps them together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, cast

from tallyfy_async.auth.token import Token
from tallyfy_async.errors import StoreCorruptError, StoreError

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 2**20
"""No record is longer; a reader that finds more has found something else."""

# Epoch seconds of the year 5138: what lies beyond is another unit, such as milliseconds.
_LAST_MOMENT = 1e11
_CORRUPT = "the token store holds something that is not a token record"
_NEWER = "the token record was written by a newer version of tallyfy_async: upgrade this one; the record is kept"


def to_bytes(key: str, token: Token) -> bytes:
    """Return the record of ``token`` in the line ``key`` as UTF-8 JSON without line breaks; times are epoch seconds.

    The tokens are in it in the clear. Raises StoreError for a record that could not be read back.
    """
    fields: dict[str, Any] = {
        "access_token": token.access_token.reveal(),
        "refresh_token": None if token.refresh_token is None else token.refresh_token.reveal(),
        "scopes": None if token.scopes is None else sorted(token.scopes),
        "issued_at": token.issued_at,
        "lifetime": token.lifetime,
        "generation": token.generation,
        "presented": token.presented,
    }
    problem = _problem(fields)
    if problem is None:
        return json.dumps({"v": VERSION, "key": key, "token": fields}, separators=(",", ":")).encode()
    del fields  # tracebacks show local variables
    msg = f"the token cannot be stored: {problem}"
    raise StoreError(msg)


def from_bytes(key: str, data: bytes) -> Token:
    """Return the token of a record of the line ``key``.

    Raises StoreCorruptError for what is no record, or one of another line; StoreError for the record of a newer
    version, which must not be written over. No message or traceback holds anything of the record.
    """
    found = attempt(key, data)
    del data  # tracebacks show local variables
    if isinstance(found, Token):
        return found
    raise found


def attempt(key: str, data: bytes) -> Token | StoreError:
    """Return the token, or the error that :func:`from_bytes` raises, for callers whose variables hold the record."""
    try:
        document = json.loads(data, parse_constant=_refuse) if len(data) <= MAX_RECORD_BYTES else None
    except (ValueError, RecursionError):
        return _corrupt("no JSON")
    if not isinstance(document, dict):
        return _corrupt("no JSON object")
    body = cast("dict[str, Any]", document)
    version, fields = body.get("v"), body.get("token")
    if type(version) is not int or version < VERSION:
        return _corrupt("no version")
    if version > VERSION or body.keys() - {"v", "key", "token"}:
        return StoreError(_NEWER)
    if body.get("key") != key:
        return _corrupt("the record of another line of tokens")
    return _token(cast("dict[str, Any]", fields)) if isinstance(fields, dict) else _corrupt("no token")


def _token(fields: Mapping[str, Any]) -> Token | StoreError:
    if fields.keys() - _KINDS.keys():
        return StoreError(_NEWER)
    if (problem := _problem(fields)) is not None:
        return _corrupt(problem)
    scopes: list[str] | None = fields["scopes"]
    kept: dict[str, Any] = {**fields, "scopes": None if scopes is None else frozenset(scopes)}
    return Token(**kept)


def _corrupt(why: str) -> StoreCorruptError:
    return StoreCorruptError(f"{_CORRUPT}: {why}")


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _problem(fields: Mapping[str, Any]) -> str | None:
    """Name the first field that is absent or of the wrong kind."""
    for name, fits in _KINDS.items():
        if name not in fields:
            return f"{name} is absent"
        if not fits(fields[name]):
            return f"{name} is not of its kind"
    return None


def _is_header_text(value: Any) -> bool:
    return isinstance(value, str) and all(" " <= letter <= "~" for letter in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[object]", value))


def _is_seconds(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) <= _LAST_MOMENT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "access_token": _is_header_text,
    "refresh_token": _or_none(_is_text),
    "scopes": _or_none(_is_list_of_texts),
    "issued_at": _is_seconds,
    "lifetime": _or_none(_is_seconds),
    "generation": _is_count,
    "presented": lambda value: isinstance(value, bool),
}
