"""Old endpoints and mistakes in Python, by the syntax tree."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Final

from attrs import define, field, frozen

from tallyfy_async.scan.effort import TEXT, Effort
from tallyfy_async.scan.findings import JSON_LOGIN, MISSING_HEADER, RULES, Edit, Hit, Lines, endpoint_hit
from tallyfy_async.scan.flat import Address, address
from tallyfy_async.scan.paths import METHODS, WILD, Host, Place, old_endpoint, rename_of, sure_to_rename
from tallyfy_async.scan.syntax import Flattener, Function, Names, Piece, children, last_name

_ADDRESS_WORDS: Final = frozenset({"url", "uri", "path", "endpoint", "route", "href", "raw_url", "target"})
_SERVER_SIDE: Final = frozenset(
    {"path", "re_path", "include", "Route", "Mount", "add_route", "add_url_rule", "add_get"}
)
_PLAIN_GET: Final = frozenset({"urlopen", "urlretrieve", "Request"})
_LEAVES: Final = frozenset({ast.Name, ast.alias, ast.arg, ast.Pass, ast.Import, ast.ImportFrom})
_WORTH: Final = re.compile(
    r"organizations|url-check|countries|static/config|/token|auth/|webhooks/|zapier|urljoin|://[^/\s]{0,80}tallyfy"
)
_LIBRARIES: Final = frozenset({"requests", "httpx", "aiohttp"})
_CLIENTS: Final = frozenset({"Session", "session", "Client", "AsyncClient", "ClientSession"})
_CLIENT_NAME: Final = re.compile(r"client|http|api|tallyfy", re.IGNORECASE)
_NO_HEADER_NEEDED: Final = frozenset({"oauth", "auth"})
_LARGEST_TREE: Final = 1_000_000
"""Characters of the largest source that is parsed: a tree takes hundreds of times as much memory."""


def words(name: str) -> list[str]:
    """Split a name at underscores and capitals, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


def verb_in(name: str | None) -> str | None:
    """Return the HTTP method that a function's name says, None where it says none or several."""
    said = {word.upper() for word in words(name or "")} & set(METHODS)
    return said.pop() if len(said) == 1 else None


def _literal_verb(node: ast.AST | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.upper() in METHODS:
        return node.value.upper()
    return node.attr if isinstance(node, ast.Attribute) and node.attr in METHODS else None


def _keyword(call: ast.Call, *names: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg in names), None)


def call_method(call: ast.Call) -> str | None:
    """Return the HTTP method of a call, from an argument or from the function's name."""
    told = _literal_verb(_keyword(call, "method")) or next(filter(None, map(_literal_verb, call.args[:2])), None)
    if told is not None:
        return told
    name = last_name(call.func)
    if name in _PLAIN_GET and _keyword(call, "method") is None:
        return "POST" if _keyword(call, "data") is not None or len(call.args) > 1 else "GET"
    return verb_in(name)


@frozen(kw_only=True)
class _Use:
    """Where an address stands: the call's method, and the call."""

    method: str | None = None
    call: ast.Call | None = None


@define(eq=False)
class _Finder:
    source: str
    parsed: str
    meant: bool
    effort: Effort
    names: Names = field(factory=Names)
    roots: list[tuple[ast.expr, int, _Use]] = field(factory=list[tuple[ast.expr, int, _Use]])
    lines: Lines = field(init=False)
    has_header: bool = field(init=False)
    _line: tuple[int, bytes] = field(default=(0, b""), init=False)
    _without_header: dict[int, bool] = field(factory=dict[int, bool], init=False)

    def __attrs_post_init__(self) -> None:
        self.lines = Lines(self.source)
        self.has_header = "x-tallyfy-client" in self.source.lower()

    def hits(self, tree: ast.AST) -> Iterator[Hit]:
        self.names.learn(tree)
        self._collect(tree)
        found = [one for root in self.effort.each(TEXT, self.roots) for one in self._judge(*root)]
        seen: dict[tuple[int, str], Hit] = {}
        for root, hit in found:
            if id(root) not in self.names.used:
                key = (hit.start, hit.rule)
                if key not in seen or (hit.edits and not seen[key].edits):
                    seen[key] = hit
        yield from self.effort.hits(sorted(seen.values(), key=lambda hit: hit.start))

    def _collect(self, tree: ast.AST) -> None:
        """Find the outermost expressions that make a text, each with the call it is for."""
        waiting: list[tuple[ast.AST, int, _Use]] = [(tree, 0, _Use())]
        while waiting:
            node, scope, use = waiting.pop()
            if node.__class__ in _LEAVES and use.call is None:
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue  # a docstring
            if isinstance(node, ast.expr) and (self.names.is_text(node) or (use.call and _may_be_name(node))):
                self.roots.append((node, scope, use))
                waiting.extend((child, scope, _Use()) for child in self._inside(node))
                continue
            waiting.extend(self._children(node, scope)[::-1])

    def _children(self, node: ast.AST, scope: int) -> list[tuple[ast.AST, int, _Use]]:
        if isinstance(node, ast.Call):
            return [(child, scope, use) for child, use in _arguments(node)]
        if isinstance(node, ast.Dict):
            return [(child, scope, use) for child, use in _entries(node)]
        if isinstance(node, ast.Tuple | ast.List):
            method = next(filter(None, map(_literal_verb, node.elts)), None)
            return [(child, scope, _Use(method=method)) for child in node.elts]
        inner = id(node) if isinstance(node, Function) else scope
        # Decorators say what a server answers, not what a client asks.
        decorators = set(map(id, getattr(node, "decorator_list", ())))
        return [(child, inner, _Use()) for child in children(node) if id(child) not in decorators]

    def _inside(self, node: ast.AST) -> Iterator[ast.AST]:
        """Give the expressions inside a text that are no part of it: what placeholders hold, and arguments."""
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if isinstance(one, ast.JoinedStr):
                held = [part.value for part in one.values if isinstance(part, ast.FormattedValue)]
                yield from (value for value in held if not self.names.is_text(value))
            elif isinstance(one, ast.BinOp):
                for side in (one.left, one.right):
                    if self.names.is_text(side):
                        waiting.append(side)
                    else:
                        yield side
            elif isinstance(one, ast.Call):
                yield from (keyword.value for keyword in one.keywords)

    def _judge(self, root: ast.expr, scope: int, use: _Use) -> Iterator[tuple[ast.expr, Hit]]:
        flattener = Flattener(self.names, scope)
        pieces = flattener.text(root)
        if (
            not pieces
            or (not pieces[0].literal and len(pieces) == 1)
            or not self.effort.allows(TEXT * len(pieces) // 2)
        ):
            return
        found = address("".join(piece.text for piece in pieces), use.method, pieces[0].name)
        if found is None:
            return
        self.names.used.update(map(id, flattener.read))
        place = self._placed(found.place, use)
        row = old_endpoint(place, meant=self.meant)
        if row is not None:
            start = self._start(_literal_at(pieces, found.offset) or root)
            edits = self._edits(pieces, Address(place=place, offset=found.offset)) if sure_to_rename(row, place) else ()
            yield root, endpoint_hit(row, place.method, start, edits)
        if use.call is not None:
            yield from ((root, hit) for hit in self._mistakes(use.call, place, scope))

    def _placed(self, place: Place, use: _Use) -> Place:
        """Take a word without a slash for a path where an HTTP client is asked."""
        receiver = use.call.func if use.call is not None else None
        asked = isinstance(receiver, ast.Attribute) and _CLIENT_NAME.search(last_name(receiver.value) or "")
        if place.rooted or not asked or use.method is None or WILD in place.segments[0]:
            return place
        return Place(segments=place.segments, host=place.host, method=place.method, complete=place.complete)

    def _start(self, node: ast.expr) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _offset(self, line: int, column: int) -> int:
        """Return the offset in characters; columns of the syntax tree count bytes."""
        start = self.lines.starts[line - 1]
        if self.source.isascii():
            return start + column
        if self._line[0] != line:
            end = self.lines.starts[line] if line < len(self.lines.starts) else len(self.parsed)
            self._line = (line, self.parsed[start:end].encode())
        return start + len(self._line[1][:column].decode("utf-8", "ignore"))

    def _edits(self, pieces: list[Piece], found: Address) -> tuple[Edit, ...]:
        """Find the parts to rename in the source of one literal; none where they are not there in one piece, once."""
        row = old_endpoint(found.place, meant=True)
        if row is None:
            return ()
        rename, segments = rename_of(row), found.place.segments
        old = "/".join(segments[rename.first : rename.last])
        offset = found.offset + sum(len(part) + 1 for part in segments[: rename.first])
        literal = _literal_at(pieces, offset)
        if literal is None or literal is not _literal_at(pieces, offset + len(old) - 1):
            return ()
        start = self._start(literal)
        end = self._offset(literal.end_lineno or literal.lineno, literal.end_col_offset or 0)
        places = [
            match.span() for match in re.finditer(rf"(?<![\w-]){re.escape(old)}(?![\w-])", self.source[start:end])
        ]
        if len(places) != 1:
            return ()
        return (Edit(start=start + places[0][0], end=start + places[0][1], text=rename.text),)

    def _mistakes(self, call: ast.Call, place: Place, scope: int) -> Iterator[Hit]:
        if place.segments == ("auth", "login") and (self.meant or place.host is Host.TALLYFY) and _sends_json(call):
            yield _mistake(JSON_LOGIN, "POST /auth/login with a JSON body", self._start(call), "POST /oauth/token")
        needed = place.host is Host.TALLYFY and place.segments[0] not in _NO_HEADER_NEEDED
        if needed and call_method(call) and self._lacks_header(call, scope):
            yield _mistake(
                MISSING_HEADER, "no X-Tallyfy-Client header", self._start(call), "X-Tallyfy-Client: APIClient"
            )

    def _lacks_header(self, call: ast.Call, scope: int) -> bool:
        """Whether a call goes out without the header for certain: its headers are all to be seen, or there are none."""
        headers = _keyword(call, "headers")
        if headers is None and any(keyword.arg is None for keyword in call.keywords):
            return False
        value = self.names.value(headers, scope) if isinstance(headers, ast.Name | ast.Attribute) else headers
        if isinstance(value, ast.Dict):
            if id(value) not in self._without_header:
                self._without_header[id(value)] = None not in value.keys and not _has_header(value)
            return self._without_header[id(value)]
        return value is None and headers is None and self._sends_nothing_else(call, scope)

    def _sends_nothing_else(self, call: ast.Call, scope: int) -> bool:
        receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
        if isinstance(receiver, ast.Name) and receiver.id in _LIBRARIES:
            return True
        made = self.names.value(receiver, scope) if receiver is not None else None
        if isinstance(made, ast.Call) and last_name(made.func) in _CLIENTS:
            return not self.has_header and _keyword(made, "headers") is None
        return last_name(call.func) in {"urlopen", "Request"} and not self.has_header and len(call.args) <= 1


def _mistake(rule: str, old: str, start: int, new: str) -> Hit:
    return Hit(start=start, rule=rule, old=old, new=new, message=f"{old}: {RULES[rule].text}")


def _has_header(headers: ast.Dict) -> bool:
    keys = [key.value if isinstance(key, ast.Constant) else None for key in headers.keys]
    return any(not isinstance(key, str) or key.lower() == "x-tallyfy-client" for key in keys)


def _sends_json(call: ast.Call) -> bool:
    data = _keyword(call, "data", "content", "body")
    dumped = isinstance(data, ast.Call) and last_name(data.func) in {"dumps", "encode"}
    return _keyword(call, "json") is not None or dumped


def _literal_at(pieces: list[Piece], offset: int) -> ast.Constant | ast.JoinedStr | None:
    for piece in pieces:
        if offset < len(piece.text):
            return piece.literal
        offset -= len(piece.text)
    return None


def _may_be_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute)


def _arguments(call: ast.Call) -> Iterator[tuple[ast.AST, _Use]]:
    yield call.func, _Use()
    if last_name(call.func) in _SERVER_SIDE:
        return
    use = _Use(method=call_method(call), call=call)
    for argument in call.args:
        yield argument, use if not _literal_verb(argument) else _Use()
    for keyword in call.keywords:
        yield keyword.value, use if keyword.arg in _ADDRESS_WORDS else _Use()


def _entries(node: ast.Dict) -> Iterator[tuple[ast.AST, _Use]]:
    keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
    told = next((_literal_verb(value) for key, value in zip(keys, node.values, strict=True) if key == "method"), None)
    for key, value in zip(keys, node.values, strict=True):
        yield value, _Use(method=told) if key in _ADDRESS_WORDS else _Use()
    yield from ((key, _Use()) for key in node.keys if key is not None)


def python_hits(source: str, effort: Effort, *, meant: bool) -> list[Hit] | None:
    """Return the hits of a Python source, None where it does not parse or is too large for that.

    ``meant`` says whether the file is about Tallyfy.
    """
    if _WORTH.search(source) is None:
        return []
    if len(source) > _LARGEST_TREE:
        return None
    parsed = source if source.isascii() else re.sub(r"[\ud800-\udfff\ufeff]", "?", source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the scanned source: it is not ours to mend
            tree = ast.parse(parsed)
        return list(_Finder(source, parsed, meant, effort).hits(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
