"""Old endpoints in documents that hold calls as data: notebooks, Postman collections, OpenAPI files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Final

from attrs import define, field, frozen

from tallyfy_async.scan.effort import WORD, Effort
from tallyfy_async.scan.findings import Edit, Hit, endpoint_hit
from tallyfy_async.scan.flat import Address, address
from tallyfy_async.scan.paths import METHODS, WILD, Place, old_endpoint, rename_of, sure_to_rename
from tallyfy_async.scan.places import Path, Text, texts
from tallyfy_async.scan.python import python_hits
from tallyfy_async.scan.text import text_hits

_HOLE: Final = re.compile(r"\{\{?[^{}]*\}\}?|(?<=/):[A-Za-z_]\w*")
_MAGIC: Final = re.compile(r"^([ \t]*+)[%!?]", re.MULTILINE)
_OPENAPI: Final = re.compile(r"^[ \t]*+[\"']?(?:openapi|swagger)[\"']?[ \t]*+:", re.MULTILINE)
_YAML_PATH: Final = re.compile(
    r"^(?P<indent> *+)(?P<quote>[\"']?)(?P<path>/[^\s\"':]*+(?::[^\s\"':]++)*+)(?P=quote)[ \t]*+:"
)
_YAML_METHOD: Final = re.compile(rf"^(?P<indent> *)[\"']?(?P<method>{'|'.join(METHODS).lower()})[\"']?\s*:")


@frozen(kw_only=True)
class Cell:
    """A cell of a notebook.

    Attributes:
        number: its place, from 1.
        hits: what is in it, in offsets of the file.

    """

    number: int
    hits: list[Hit]


@define
class _Joined:
    """Texts of a document put together as one, and where each character stands."""

    parts: list[str] = field(factory=list[str])
    offsets: list[int] = field(factory=list[int])

    def add(self, text: Text, raw: str, end: str = "") -> None:
        """Add a text; ``end`` stands in the document where the text does."""
        self.parts.append(text.value + end)
        self.offsets.extend(text.offsets(raw)[: len(text.value)])
        self.offsets.extend([text.end - 1] * len(end))

    def where(self, offset: int) -> int | None:
        """Return where a character stands; the end of a text is behind its last one."""
        if offset < len(self.offsets):
            return self.offsets[offset]
        return self.offsets[-1] + 1 if self.offsets else None

    def hits(self, find: Callable[[str], list[Hit]]) -> list[Hit]:
        moved = [hit.moved(self.where) for hit in find("".join(self.parts))]
        return [hit for hit in moved if hit is not None]


def notebook_cells(raw: str, effort: Effort, *, meant: bool) -> list[Cell]:
    """Return the cells of a notebook with what is in them: code is Python, the rest is text.

    Raises ValueError where the document is no notebook but a heap of brackets.
    """
    known = list(texts(raw))
    kinds = {text.path[1]: text.value for text in known if _is_at(text, "cells", 2, "cell_type")}
    lines = [text for text in known if len(text.path) > 2 and text.path[0] == "cells" and text.path[2] == "source"]
    found: list[Cell] = []
    for number, group in groupby((text for text in lines if not text.is_key), key=lambda text: text.path[1]):
        joined = _Joined()
        for text in group:
            joined.add(text, raw)
        find = partial(_cell, effort=effort, code=kinds.get(number) == "code", meant=meant)
        found.append(Cell(number=int(number) + 1, hits=joined.hits(find)))
    return found


def _is_at(text: Text, first: str, depth: int, last: str) -> bool:
    path = text.path
    return not text.is_key and len(path) == depth + 1 and path[0] == first and path[depth] == last


def _cell(text: str, effort: Effort, *, code: bool, meant: bool) -> list[Hit]:
    hits = python_hits(_MAGIC.sub(r"\1#", text), effort, meant=meant) if code else None
    return text_hits(text, ".py" if code else ".md", effort, meant=meant) if hits is None else hits


def is_postman(raw: str) -> bool:
    """Whether a JSON document is a Postman collection."""
    return '"item"' in raw and '"request"' in raw


def postman_hits(raw: str, effort: Effort, *, meant: bool) -> list[Hit]:
    """Return the hits of a Postman collection: its requests, and its scripts as JavaScript.

    Raises ValueError where the document is no collection but a heap of brackets.
    """
    requests: dict[Path, list[Text]] = {}
    scripts: dict[Path, _Joined] = {}
    for text in texts(raw):
        if not text.is_key and "request" in text.path:
            requests.setdefault(text.path[: text.path.index("request") + 1], []).append(text)
        elif not text.is_key and "exec" in text.path:
            script = scripts.setdefault(text.path[: text.path.index("exec")], _Joined())
            script.add(text, raw, "\n")
    told = effort.each(WORD, requests.items())
    found = list(effort.hits(hit for request, known in told for hit in _request(raw, request, known, meant=meant)))
    for script in scripts.values():
        found.extend(script.hits(lambda text: text_hits(text, ".js", effort, meant=meant)))
    return found


def _request(raw: str, request: Path, known: list[Text], *, meant: bool) -> Iterator[Hit]:
    depth = len(request)
    told = {text.path[depth:]: text for text in known}
    method = told.get(("method",))
    url = told.get(("url", "raw")) or told.get(("url",)) or told.get(())
    if url is None:
        return
    verb = method.value.upper() if method is not None else "GET"
    flat = _HOLE.sub(WILD, url.value)
    found = address(flat, verb if verb in METHODS else None)
    row = old_endpoint(found.place, meant=True) if found is not None else None
    if found is None or row is None or old_endpoint(found.place, meant=meant) is None:
        return
    edits: tuple[Edit, ...] = ()
    if sure_to_rename(row, found.place):
        edits = _postman_edits(raw, found, url, [text for path, text in told.items() if path[:2] == ("url", "path")])
    yield endpoint_hit(row, found.place.method, url.start + 1, edits)


def _postman_edits(raw: str, found: Address, url: Text, parts: list[Text]) -> tuple[Edit, ...]:
    """Rename in the whole address and in the list of its parts; nothing where one of them is written otherwise."""
    row = old_endpoint(found.place, meant=True)
    if row is None:
        return ()
    rename = rename_of(row)
    gone = list(found.place.segments[rename.first : rename.last])
    pattern = rf"(?<=/){re.escape('/'.join(gone))}(?![\w-])"
    places = [match.span() for match in re.finditer(pattern, raw[url.start : url.end])]
    if len(places) != 1:
        return ()
    edits = [Edit(start=url.start + places[0][0], end=url.start + places[0][1], text=rename.text)]
    if parts:
        values = [text.value for text in parts]
        at = [number for number in range(len(values)) if values[number : number + len(gone)] == gone]
        if len(at) != 1:
            return ()
        first, last = parts[at[0]], parts[at[0] + len(gone) - 1]
        between = raw[parts[0].end : parts[1].start] if len(parts) > 1 else ", "
        text = between.join(f'"{word}"' for word in rename.text.split("/"))
        edits.append(Edit(start=first.start, end=last.end, text=text))
    return tuple(edits)


def is_openapi(raw: str) -> bool:
    """Whether a JSON or YAML document describes an API."""
    return _OPENAPI.search(raw) is not None or re.match(r"\s*\{\s*\"(?:openapi|swagger)\"", raw) is not None


@frozen(kw_only=True)
class _Item:
    """A path of an OpenAPI file: where it stands, and its methods in their order."""

    start: int
    end: int
    path: str
    methods: dict[str, None] = field(factory=dict[str, None])


def openapi_hits(raw: str, effort: Effort, *, is_json: bool, meant: bool) -> list[Hit]:
    """Return the hits of an OpenAPI file: one for each old method of each path.

    Raises ValueError where a JSON document is no description but a heap of brackets.
    """
    items = _json_items(raw) if is_json else _yaml_items(raw)
    return list(effort.hits(hit for item in effort.each(WORD, items) for hit in _item(raw, item, meant=meant)))


def _item(raw: str, item: _Item, *, meant: bool) -> Iterator[Hit]:
    flat = _HOLE.sub(WILD, item.path)
    places = [one.place for one in (address(flat, method) for method in item.methods) if one is not None]
    rows = [old_endpoint(place, meant=meant) for place in places]
    # The methods of a path share its line: it is a pure rename where all of them have moved.
    edits = _item_edits(raw, item, places[0]) if rows and all(row == rows[0] for row in rows) else ()
    for place, row in zip(places, rows, strict=True):
        if row is not None:
            yield endpoint_hit(row, place.method, item.start, edits)


def _item_edits(raw: str, item: _Item, place: Place) -> tuple[Edit, ...]:
    row = old_endpoint(place, meant=True)
    if row is None or not sure_to_rename(row, place):
        return ()
    rename = rename_of(row)
    old = "/".join(place.segments[rename.first : rename.last])
    places = [match.span() for match in re.finditer(rf"(?<=/){re.escape(old)}(?![\w-])", raw[item.start : item.end])]
    if len(places) != 1:
        return ()
    return (Edit(start=item.start + places[0][0], end=item.start + places[0][1], text=rename.text),)


def _json_items(raw: str) -> list[_Item]:
    items: dict[Path, _Item] = {}
    for text in texts(raw):
        if not text.is_key or text.path[:1] != ("paths",):
            continue
        if len(text.path) == 2:
            items[text.path] = _Item(start=text.start + 1, end=text.end - 1, path=text.value)
        elif len(text.path) == 3 and text.value.upper() in METHODS and text.path[:2] in items:
            items[text.path[:2]].methods[text.value.upper()] = None
    return list(items.values())


def _yaml_items(raw: str) -> list[_Item]:
    items: list[_Item] = []
    indent, inner, offset = -1, -1, 0
    for line in raw.splitlines(keepends=True):
        path, method = _YAML_PATH.match(line), _YAML_METHOD.match(line)
        if path is not None and (indent < 0 or len(path["indent"]) <= indent):
            indent, inner = len(path["indent"]), -1
            items.append(_Item(start=offset + path.start("path"), end=offset + path.end("path"), path=path["path"]))
        elif method is not None and items and len(method["indent"]) > indent:
            inner = len(method["indent"]) if inner < 0 else inner
            if len(method["indent"]) == inner:
                items[-1].methods[method["method"].upper()] = None
        offset += len(line)
    return items
