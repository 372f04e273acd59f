"""Secrets that stand in the source. What is found is told by its name; the secret itself goes nowhere."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from tallyfy_async.protocol.redaction import MASK
from tallyfy_async.scan.findings import RULES, SECRET, Hit

_KEY: Final = re.compile(
    r"client[_-]?secret|password|passwd|(?:access|refresh|api|auth|bearer|personal)[_-]?token"
    r"|tallyfy[_-]?(?:token|secret|api[_-]?key|key)"
)
_BEFORE: Final = re.compile(r"[\w-]{0,40}$")
# What follows a key: a quoted value, Postman's pair of key and value, or a bare value in a form or a settings file.
_VALUES: Final = (
    re.compile(
        r"\\?[\"'`]?\]?\s*(?:=>|:=|[:=])\s*[fbru@$]?\\?(?P<quote>[\"'`])(?P<value>[^\"'`\s\\]{6,400})\\?(?P=quote)"
    ),
    re.compile(r"\"\s*,\s*\"value\"\s*:\s*\"(?P<value>[^\"\s\\]{6,400})\""),
    re.compile(
        r"(?:=|:[ \t]+)(?P<value>(?=[A-Za-z~+/=_-]{0,400}\d[A-Za-z~+/=_-]{0,400}\d)(?=[\d~+/=_-]{0,400}[A-Za-z])"
        r"[\w~+/=-]{12,400})"
        r"(?![\w.(\[])"
    ),
)
_ALONE: Final = (
    re.compile(r"(?<![\w-])(?P<key>[Bb]earer)\s+(?P<value>(?=[A-Za-z.~+/=_-]{0,4000}\d)[\w.~+/=-]{16,4000})"),
    re.compile(r"(?<![\w.-])(?P<value>eyJ[\w-]{10,}+\.[\w-]{10,}+(?:\.[\w-]*+)?)"),
)
_NO_SECRET: Final = re.compile(
    r"(?:your|my[_-]|the[_-]|some[_-]|example|sample|dummy|fake|placeholder|change|secret\b|password|passwd|token|todo"
    r"|insert|replace|redacted|hidden|env[.:(]|process\.|os\.)|.*(?:[<>{}$…]|\*{3}|\.{3}|x{4}|%\w+%|example|[_-]here$)"
    r"|required|string|nullable",
    re.IGNORECASE | re.DOTALL,
)
_NAME_OF_ONE: Final = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z]+(?:_[a-z]+)+")
_NEAR: Final = 4000


def secret_hits(text: str) -> Iterator[Hit]:
    """Yield a hit for every secret near a mention of Tallyfy, one for each place."""
    small = text.lower()
    if len(small) != len(text):  # a letter that is two in lower case
        small = text
    mentions = [match.start() for match in re.finditer("tallyfy", small)]
    found: dict[int, Hit] = {}
    for start, key, value in (*_keyed(text, small), *_alone(text)):
        if _is_near(mentions, start) and _is_secret(value[0]):
            found.setdefault(value[1], _hit(start, key))
    yield from found.values()


_Found = tuple[int, str, tuple[str, int]]


def _keyed(text: str, small: str) -> Iterator[_Found]:
    for core in _KEY.finditer(small):
        value = next(filter(None, (pattern.match(text, core.end()) for pattern in _VALUES)), None)
        if value is not None:
            before = _BEFORE.search(text[max(0, core.start() - 40) : core.start()])
            start = core.start() - len(before[0] if before is not None else "")
            yield start, text[start : core.end()].lstrip("-"), (value["value"], value.start("value"))


def _alone(text: str) -> Iterator[_Found]:
    for pattern in _ALONE:
        for match in pattern.finditer(text):
            key = match.groupdict().get("key") or "JSON web token"
            yield match.start(), key, (match["value"], match.start("value"))


def _hit(start: int, key: str) -> Hit:
    return Hit(
        start=start,
        rule=SECRET,
        old=f"{key} = {MASK}",
        new="an environment variable or a secret store",
        message=f"{key} = {MASK}: {RULES[SECRET].text}",
    )


def _is_near(mentions: list[int], at: int) -> bool:
    place = bisect_left(mentions, at)
    return any(abs(mention - at) <= _NEAR for mention in mentions[max(0, place - 1) : place + 1])


def _is_secret(value: str) -> bool:
    """Whether a value looks like a secret rather than like a placeholder, a name or a word."""
    if _NO_SECRET.match(value) or _NAME_OF_ONE.fullmatch(value) or len(set(value)) < 4:
        return False
    return not value.isalpha()
