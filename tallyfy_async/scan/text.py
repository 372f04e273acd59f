"""Old endpoints and mistakes in any text, by pattern."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from attrs import define, field

from tallyfy_async.scan.effort import ADDRESS, HIT, WORD, Effort
from tallyfy_async.scan.findings import JSON_LOGIN, RULES, Edit, Hit, endpoint_hit
from tallyfy_async.scan.methods import method_of
from tallyfy_async.scan.paths import Host, Place, host_kind, may_be_old, old_endpoint, rename_of, sure_to_rename
from tallyfy_async.scan.walk import Lead, Walked, join_of, lead, walk

_WORDS: Final = re.compile(
    r"(?<![\w.-])(?:(?:organizations|url-check|countries|token)(?![\w-])"
    r"|p(?=\\?/static\\?/)|auth(?=\\?/)|webhooks(?=\\?/)|zapier(?=\\?/))"
)
_BASES: Final = re.compile(
    r"\b(?P<name>[A-Za-z_]\w*)[\"']?\s*(?::\s*\w+\s*)?(?::?=|=>|:|,|\?\?=|\|\|=)\s*[\"'`]?"
    r"(?P<url>[A-Za-z][\w+.-]*://(?P<host>[^\s\"'`/,;)<>]+)(?P<path>[^\s\"'`,;)<>]*))"
)
_SERVER: Final = re.compile(
    r"(?:\b(?:app|router|routes?|mux|server|fastify|blueprint|bp)\s*(?:\.|::|->)\s*\w+"
    r"|\b(?:HandleFunc|Handle|MapGet|MapPut|MapPost|MapDelete))\s*\(\s*[\"'`]$",
    re.IGNORECASE,
)
_SERVES: Final = re.compile(
    r"[\"'`]\s*(?:,\s*(?:to:|\[\s*['\"\w]+(?:::|['\"])|(?:async\s*)?\(?(?:req|request|ctx|c|context)\b\s*[,)=])|=>\s*['\"])"
)
_JSON: Final = re.compile(
    r"JSON\.stringify|json_encode|to_json|application/json|json\.Marshal|\bjson\s*[:=]|AsJsonAsync"
)
_NAMED: Final = re.compile(r"([A-Za-z_]\w*)[\"']?\s*(?::\s*\w+\s*)?(?::?=|=>|:)\s*[$@]?[\"'`]?$")
_JOINED: Final = re.compile(r"(?<=[{$@.>#(\s])(?P<name>[A-Za-z_]\w*+)\}{0,2}(?=(?:\s*(?:\+|\.|&)\s*[\"'`])?/)")
_NEAR: Final = 300
_FAR: Final = 20_000


@define(eq=False, slots=False)
class _Finder:
    text: str
    suffix: str
    meant: bool
    effort: Effort
    join: re.Pattern[str] = field(init=False)
    bases: dict[str, re.Match[str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.join = join_of(self.suffix)
        self.bases = {match["name"]: match for match in _BASES.finditer(self.text)}

    def hits(self) -> Iterator[Hit]:
        done = 0
        for word in self.effort.each(WORD, _WORDS.finditer(self.text)):
            if word.start() < done:
                continue
            before = lead(self.text, word.start())
            if before is None or _SERVER.search(self.text[max(0, before.start - 60) : before.start]):
                continue
            path = walk(self.text, word.start(), before.quote, self.join)
            if _SERVES.match(self.text, path.end):
                continue
            found = list(self._judge(before, path))
            if found:
                done = path.end
            yield from found

    def _judge(self, before: Lead, path: Walked) -> Iterator[Hit]:
        if not may_be_old(path.parts):
            return
        host = self._host(before)
        if host is Host.OTHER or self._is_prefix(before, path) or not self.effort.allows(ADDRESS):
            return
        method = method_of(self.text, before.start, path.end)
        place = Place(segments=path.parts, host=host, method=method, rooted=before.rooted, complete=not path.open)
        row = old_endpoint(place, meant=self.meant)
        if row is None or not self.effort.allows(HIT):
            return
        yield endpoint_hit(row, method, before.start, self._edits(place, path) if sure_to_rename(row, place) else ())
        if row.path == "/auth/login" and self._near_json(before.start, path.end):
            old = "POST /auth/login with a JSON body"
            message = f"{old}: {RULES[JSON_LOGIN].text}"
            yield Hit(start=before.start, rule=JSON_LOGIN, old=old, new="POST /oauth/token", message=message)

    def _host(self, before: Lead) -> Host:
        """Return whom an address is asked of; a name is looked up where the file says what it stands for."""
        base = self.bases.get(before.name or "")
        if base is None or before.host is not Host.UNKNOWN:
            return before.host
        if re.fullmatch(r"(?:/(?:api|v\d+))*/?", base["path"]) is None:
            return Host.OTHER
        return host_kind(base["host"])

    def _is_prefix(self, before: Lead, path: Walked) -> bool:
        """Whether the file goes on where the address ends: a constant that others are made of."""
        named = _NAMED.search(self.text[max(0, before.start - 80) : before.start])
        if named is None:
            return False
        uses = self._joined.get(named[1], [])
        following = bisect_left(uses, path.end + 1)
        return following < len(uses) and uses[following] < path.end + _FAR

    @cached_property
    def _joined(self) -> dict[str, list[int]]:
        """Where names stand that a path goes on behind."""
        uses: dict[str, list[int]] = {}
        for use in _JOINED.finditer(self.text):
            uses.setdefault(use["name"], []).append(use.start())
        return uses

    def _near_json(self, start: int, end: int) -> bool:
        around = self.text[max(0, start - _NEAR) : end + _NEAR]
        return _JSON.search(around) is not None

    def _edits(self, place: Place, path: Walked) -> tuple[Edit, ...]:
        row = old_endpoint(place, meant=True)
        if row is None:
            return ()
        rename = rename_of(row)
        spans = path.spans[rename.first : rename.last]
        if None in spans or not spans:
            return ()
        known = [span for span in spans if span is not None]
        start, end = known[0][0], known[-1][1]
        if self.text[start:end] != "/".join(place.segments[rename.first : rename.last]):
            return ()
        return (Edit(start=start, end=end, text=rename.text),)


def text_hits(text: str, suffix: str, effort: Effort, *, meant: bool) -> list[Hit]:
    """Return the hits of a text; ``suffix`` of the file name tells how texts are joined in its language."""
    return list(_Finder(text, suffix, meant, effort).hits())
