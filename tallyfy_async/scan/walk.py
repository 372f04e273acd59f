"""Read an address out of any text: what stands before a word of its path, and what follows."""

from __future__ import annotations

import re
from typing import Final

from attrs import define, field, frozen

from tallyfy_async.scan.flat import BASE_NAME
from tallyfy_async.scan.paths import LONGEST, WILD, Host, host_kind

_BRACES: Final = (
    r"\$\{\{?[^{}\n]{0,160}(?:\{[^{}\n]{0,80}\}[^{}\n]{0,80})?\}\}?|\#\{[^{}\n]{0,160}\}|\{\{?[^{}\n]{0,160}\}\}?"
)
_NAMED: Final = (
    r"\$\([^()\n]{0,160}\)|\$[A-Za-z_]\w*(?:->\w+(?:\(\))?|\[[^\]\n]{1,40}\])*"
    r"|%(?:\d+\$)?[sdvqiu@](?![A-Za-z0-9])|%\(\w+\)s|\\\([^()\n]{0,160}\)"
)
_HOLE: Final = re.compile(rf"{_BRACES}|{_NAMED}|\*+")
_PART_HOLE: Final = re.compile(r":[A-Za-z_]\w*|<[\w :.-]+>|\[[A-Za-z_]\w*\]|%\w+%")
_HOLE_BEFORE: Final = re.compile(rf"(?:{_BRACES}|{_NAMED}|<[\w :.-]+>|%\w+%)$")
_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9_.~@!+-]|%[0-9A-Fa-f]{2})+")
_SLASH: Final = re.compile(r"\\?/")
_SHELL_JOIN: Final = re.compile(r"""["'](?:"\$\{?\w+\}?"|\$\{?\w+\}?)["']""")
_EXPRESSION: Final = re.compile(
    r"(?:\([A-Za-z]+\)\s*)?(?:[$@!&]*[A-Za-z_0-9]\w*|\((?:[^()\n]|\([^()\n]*\))*\))"
    r"(?:(?:\.|->|::|\?\.|!\.|\?->)[A-Za-z_]\w*|\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\[\]\n]*\])*"
)
_JOINS: Final = {
    ".php": r"\.", ".phtml": r"\.", ".inc": r"\.", ".pl": r"\.", ".pm": r"\.",
    ".lua": r"\.\.", ".vb": "[&+]", ".vbs": "[&+]", ".bas": "[&+]", ".cls": "[&+]", ".twig": "~", ".ex": "<>",
    ".exs": "<>", ".hs": r"<>|\+\+", ".sql": r"\|\|",
}  # fmt: skip
_QUOTES: Final = "\"'`"
_FARTHEST: Final = 600
_BACK: Final = 240


@frozen(kw_only=True)
class Walked:
    """What follows from a word on.

    Attributes:
        parts: segments, with ``WILD`` for placeholders.
        spans: where each stands in the text, None for one that is not there in one piece.
        end: offset behind the path.
        open: whether it ends with a slash.

    """

    parts: tuple[str, ...]
    spans: tuple[tuple[int, int] | None, ...]
    end: int
    open: bool


@define(eq=False)
class _Walker:
    text: str
    at: int
    quote: str | None
    join: re.Pattern[str]
    parts: list[str] = field(factory=lambda: [""])
    spans: list[tuple[int, int] | None] = field(factory=lambda: [None])
    limit: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.limit = min(len(self.text), self.at + _FARTHEST)

    def walk(self) -> Walked:
        while self.at < self.limit and len(self.parts) <= LONGEST + 1 and self._step():
            pass
        opened = len(self.parts) > 1 and not self.parts[-1]
        if opened:
            self.parts.pop()
            self.spans.pop()
        elif self.quote is None:
            self._without_full_stop()
        return Walked(parts=tuple(self.parts), spans=tuple(self.spans), end=self.at, open=opened)

    def _without_full_stop(self) -> None:
        """Take the end of a sentence off."""
        word = self.parts[-1].rstrip(".!")
        span = self.spans[-1]
        if span is not None:
            self.spans[-1] = (span[0], span[0] + len(word))
        self.parts[-1] = word

    def _step(self) -> bool:
        if self._take(_SLASH, slash=True) or self._take(_HOLE):
            return True
        if not self.parts[-1] and len(self.parts) > 1 and self._take(_PART_HOLE):
            return True
        return self._take(_PLAIN, plain=True) or self._leave_literal()

    def _take(self, pattern: re.Pattern[str], *, slash: bool = False, plain: bool = False) -> bool:
        match = pattern.match(self.text, self.at)
        if match is None:
            return False
        if slash:
            self.parts.append("")
            self.spans.append(None)
        else:
            whole = plain and not self.parts[-1]
            self.spans[-1] = match.span() if whole else None
            self.parts[-1] += match[0] if plain else WILD
        self.at = match.end()
        return True

    def _leave_literal(self) -> bool:
        """Go on behind the end of a literal, where something is joined to it."""
        char = self.text[self.at : self.at + 1]
        if not char or char not in _QUOTES or char != self.quote:
            return False
        shell = _SHELL_JOIN.match(self.text, self.at)
        if shell is not None:
            self.at = shell.end()
            self._wild()
            self.quote = shell[0][-1]
            return True
        return self._joined(self.at + 1)

    def _joined(self, at: int) -> bool:
        joined = self.join.match(self.text, at)
        while joined is not None and at < self.limit:
            at = joined.end()
            if self.text[at : at + 1] in set(_QUOTES):
                self.quote, self.at = self.text[at], at + 1
                return True
            expression = _EXPRESSION.match(self.text, at)
            if expression is None:
                return False
            self._wild()
            at = self.at = expression.end()
            joined = self.join.match(self.text, at)
        return False

    def _wild(self) -> None:
        self.parts[-1] += WILD
        self.spans[-1] = None


def join_of(suffix: str) -> re.Pattern[str]:
    """Return what joins texts in the language of a file name's suffix."""
    return re.compile(rf"\s*(?:{_JOINS.get(suffix, '[+]')})\s*[@$]?(?=\S)")


def walk(text: str, at: int, quote: str | None, join: re.Pattern[str]) -> Walked:
    """Read a path from its first word on; ``quote`` is what the literal around it began with."""
    return _Walker(text, at, quote, join).walk()


@frozen(kw_only=True)
class Lead:
    """What stands before the first word of a path.

    Attributes:
        start: where the address starts.
        host: whom it is asked of.
        quote: what the literal began with, None outside of one.
        name: the name of the placeholder for the base address, None where there is none.
        rooted: whether the path starts at the base address for certain.

    """

    start: int
    host: Host
    quote: str | None
    name: str | None = None
    rooted: bool = True


_BASE: Final = re.compile(r"(?:\\?/(?:api|v\d+))+$")
_BARE_BASE: Final = re.compile(r"(?:(?<=[\"'`\s=(])|^)(?:api|v\d+)$")
_HOST: Final = re.compile(rf"[A-Za-z][\w+.-]*:\\?/\\?/(?P<host>(?:{_BRACES}|{_NAMED}|[^\s\"'`/<>\\])++)$")
_STARTS: Final = frozenset("\"'`(=,|[>;")
_HOLE_ENDS: Final = frozenset("})]%>@")
_JOINED_NAME: Final = re.compile(
    r"(?<![\w.>$@])(?:[$@]*[A-Za-z_]\w*(?:\.|->|::|\?\.))*[$@]*(?P<last>[A-Za-z_]\w*)(?:\(\)|\[[^\[\]\n]*\])?"
    r"\s*(?:\+|\.|&|~|<>|\.\.)\s*[$@]*[\"'`]$"
)
_JOINED: Final = re.compile(r"[\w)\]}]\s*(?:\+|\.|&|~|<>|\.\.)\s*[$@]*[\"'`]$")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


def lead(text: str, at: int) -> Lead | None:
    """Read backwards from the first word of a path; None where the word is no start of a path."""
    first = max(0, at - _BACK)
    left = text[max(first, text.rfind("\n", first, at) + 1, text.rfind("\r", first, at) + 1) : at]
    offset = at - len(left)
    slash = 2 if left.endswith("\\/") else 1 if left.endswith("/") else 0
    rest = left[: len(left) - slash]
    if slash and (rest.endswith("api") or rest[-1:].isdecimal()):
        rest = _BARE_BASE.sub("", _BASE.sub("", rest))
    host = _HOST.search(rest) if slash and ("://" in rest or ":\\/" in rest or ":/\\" in rest) else None
    if host is not None:
        return Lead(start=offset + host.start(), host=host_kind(host["host"]), quote=_quote(rest[: host.start()]))
    hole = _HOLE_BEFORE.search(rest) if _may_end_hole(rest) else None
    if hole is not None:
        return _after_hole(rest[: hole.start()], hole[0], offset, slash=bool(slash))
    return _at_start(rest, offset, slash=bool(slash)) if _is_start(rest) else None


def _may_end_hole(left: str) -> bool:
    """Whether a look for a placeholder is worth its time."""
    last = left[-1:]
    return last in _HOLE_ENDS or ((last == "_" or last.isalnum()) and ("$" in left or "%" in left))


def _is_start(left: str) -> bool:
    return not left or left[-1] in _STARTS or left[-1].isspace()


def _quote(left: str) -> str | None:
    """Return the quote that is open at the end of a line's beginning."""
    last = max(left.rfind(quote) for quote in _QUOTES)
    return left[last] if last >= 0 else None


def _after_hole(left: str, hole: str, offset: int, *, slash: bool) -> Lead | None:
    names = _WORD.findall(hole)
    name = names[-1] if names else None
    deep = left.endswith("/") or (bool(left) and left[-1] in "}%" and left[-1] != "%")
    if not deep and not _is_start(left):
        return None
    based = name is None or len(name) == 1 or bool(BASE_NAME.search(name))
    rooted = slash and not deep and based
    return Lead(start=offset + len(left), host=Host.UNKNOWN, quote=_quote(left), name=name, rooted=rooted)


def _at_start(left: str, offset: int, *, slash: bool) -> Lead | None:
    quote = left[-1] if left and left[-1] in _QUOTES else None
    if not slash and quote is None:
        return None
    joined = _JOINED_NAME.search(left) if quote is not None else None
    if joined is not None:
        based = bool(BASE_NAME.search(joined["last"]))
        start = offset + joined.start()
        return Lead(start=start, host=Host.UNKNOWN, quote=quote, name=joined["last"], rooted=slash and based)
    rooted = slash and (quote is None or not _JOINED.search(left))
    return Lead(start=offset + len(left), host=Host.UNKNOWN, quote=quote or _quote(left), rooted=rooted)
