"""What Python expressions say of the text they make, as far as the syntax tree tells."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from attrs import define, field, frozen

from tallyfy_async.scan.paths import WILD

_HOLES: Final = re.compile(
    r"\{\{?[^{}\s]*\}\}?|%\(\w+\)[sdr]|%[sdr](?![0-9A-Za-z])|(?<=/):[A-Za-z_]\w*|(?<=/)<[\w:]+>|\$\{?[A-Za-z_]\w*\}?"
)
_SAME_TEXT: Final = frozenset({"str", "URL", "Url", "strip", "rstrip", "lstrip", "format", "format_map", "replace"})
_DEEPEST: Final = 12
_MOST: Final = 256
"""Pieces of the longest text that is put together: names that stand for names could make any number."""
_LEAVES: Final = frozenset({ast.Name, ast.Constant, ast.JoinedStr, ast.alias, ast.arg, ast.Pass})
_ASSIGNMENTS: Final = frozenset({ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.AugAssign, ast.keyword})

_NAMES: Final = (ast.Name, ast.Attribute, ast.BinOp)

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@frozen(kw_only=True, eq=False)
class Piece:
    """A part of a text: what a literal says, or something not known.

    Attributes:
        text: the text; ``WILD`` where it is not known.
        literal: the node that has it in the source, None for what is not known.
        name: the last word of the expression that is not known, such as ``base_url``.

    """

    text: str
    literal: ast.Constant | ast.JoinedStr | None = None
    name: str | None = None


def children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below a node that can hold a text or a name."""
    for name in node._fields:
        value: Any = getattr(node, name, None)
        if value.__class__ is list:
            for one in value:
                if isinstance(one, ast.AST):
                    yield one
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context | ast.operator):
            yield value


def last_name(node: ast.AST) -> str | None:
    """Return the last word of a dotted name, a call or a subscript."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return last_name(node.func)
    if isinstance(node, ast.Subscript):
        key = node.slice
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else last_name(node.value)
    return None


@define(eq=False)
class Texts:
    """Tells which nodes of a file make a text out of literals, so that they are worth flattening."""

    _known: dict[int, bool] = field(factory=dict[int, bool], init=False)

    def __call__(self, node: ast.AST) -> bool:
        """Whether a node does; each is looked into once."""
        if isinstance(node, ast.BinOp | ast.Call):
            known = self._known.get(id(node))
            if known is None:
                known = self._known[id(node)] = self._inside(node)
            return known
        return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))

    def _inside(self, node: ast.BinOp | ast.Call) -> bool:
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Add | ast.Mod | ast.Div) and (self(node.left) or self(node.right))
        name = last_name(node.func)
        if name == "urljoin":
            return True
        inner = [node.func.value] if isinstance(node.func, ast.Attribute) else node.args[:1]
        return name in _SAME_TEXT | {"join"} and any(map(self, inner))


def _last_line(node: ast.expr) -> int:
    return node.end_lineno or 0


def _key(target: ast.AST) -> str | None:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return f".{target.attr}"
    return None


@define(eq=False)
class Names:
    """What names stand for: the latest assignment before the place where they are read.

    Attributes:
        is_text: tells what makes a text.
        used: the assigned expressions that have been read, by ``id``.

    """

    is_text: Texts = field(factory=Texts)
    used: set[int] = field(factory=set[int])
    _values: dict[tuple[int, str], list[ast.expr]] = field(factory=dict[tuple[int, str], list[ast.expr]])
    _lines: dict[tuple[int, str], list[int]] = field(factory=dict[tuple[int, str], list[int]])

    def learn(self, tree: ast.AST) -> None:
        """Remember every assignment of a file, defaults of parameters included."""
        waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
        while waiting:
            node, scope = waiting.pop()
            kind = node.__class__
            if kind in _LEAVES:
                continue
            if kind in _ASSIGNMENTS:
                self._assignment(node, scope)
            elif isinstance(node, Function):
                scope = id(node)
                self._defaults(node.args, scope)
            waiting.extend([(child, scope) for child in children(node)][::-1])
        for key, values in self._values.items():
            values.sort(key=_last_line)
            self._lines[key] = list(map(_last_line, values))

    def _assignment(self, node: ast.AST, scope: int) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._put(target, scope, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._put(node.target, scope, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            whole = ast.BinOp(left=node.target, op=ast.Add(), right=node.value)
            self._put(node.target, scope, ast.copy_location(whole, node))
        elif isinstance(node, ast.keyword) and node.arg == "base_url":
            self._put(ast.Attribute(value=node.value, attr=node.arg), scope, node.value)

    def _defaults(self, arguments: ast.arguments, scope: int) -> None:
        places = [*arguments.posonlyargs, *arguments.args]
        pairs = [
            *zip(places[len(places) - len(arguments.defaults) :], arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        for parameter, value in pairs:
            if value is not None:
                self._put(ast.Name(id=parameter.arg), scope, value)

    def _put(self, target: ast.AST, scope: int, value: ast.expr) -> None:
        key = _key(target)
        if key is not None:
            self._values.setdefault((0 if key.startswith(".") else scope, key), []).append(value)

    def value(self, node: ast.AST, scope: int) -> ast.expr | None:
        """Return what was assigned to a name last before it is read; None where that is not told."""
        key = _key(node)
        if key is None:
            return None
        if key.startswith(".") or not scope:
            known = self._values.get((0, key), [])
            return known[0] if len(known) == 1 else None
        before = bisect_left(self._lines.get((scope, key), []), getattr(node, "lineno", 0))
        return self._values[scope, key][before - 1] if before else self.value(node, 0)


@define(eq=False)
class Flattener:
    """Makes pieces of an expression."""

    names: Names
    scope: int = 0
    read: list[ast.expr] = field(factory=list[ast.expr])

    def text(self, node: ast.AST) -> list[Piece]:
        """Return the pieces of the text that an expression makes, none where there are too many for an address."""
        pieces = list(islice(self.pieces(node), _MOST))
        return pieces if len(pieces) < _MOST else []

    def pieces(self, node: ast.AST, depth: int = 0) -> Iterator[Piece]:
        """Give the pieces of the text that an expression makes."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Piece(text=_HOLES.sub(WILD, node.value), literal=node)
        elif isinstance(node, ast.JoinedStr):
            yield from self._joined(node, depth)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from self.pieces(node.left, depth)
            yield from self.pieces(node.right, depth)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and self.names.is_text(node.left):
            yield from self.pieces(node.left, depth)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from self._joined_by("/", [node.left, node.right], depth)
        elif isinstance(node, ast.Call):
            yield from self._call(node, depth)
        else:
            yield from self._named(node, depth)

    def _joined(self, node: ast.JoinedStr, depth: int) -> Iterator[Piece]:
        for part in node.values:
            if isinstance(part, ast.Constant):
                yield Piece(text=str(part.value), literal=node)
            elif isinstance(part, ast.FormattedValue):
                yield from self.pieces(part.value, depth + 1)

    def _named(self, node: ast.AST, depth: int) -> Iterator[Piece]:
        value = self.names.value(node, self.scope) if depth < _DEEPEST else None
        if value is not None and (self.names.is_text(value) or isinstance(value, _NAMES)):
            self.read.append(value)
            yield from self.pieces(value, depth + 1)
        else:
            yield Piece(text=WILD, name=last_name(node))

    def _call(self, node: ast.Call, depth: int) -> Iterator[Piece]:
        name = last_name(node.func)
        if name == "urljoin" and len(node.args) > 1:
            yield from self._joined_by("/", node.args[:2], depth)
        elif name == "join" and isinstance(node.func, ast.Attribute) and _is_slash(node.func.value):
            parts = node.args[0] if node.args else None
            yield from self._joined_by("/", parts.elts if isinstance(parts, ast.List | ast.Tuple) else [node], depth)
        elif name in _SAME_TEXT and isinstance(node.func, ast.Attribute) and name not in {"URL", "Url", "str"}:
            yield from self.pieces(node.func.value, depth)
        elif name in _SAME_TEXT and len(node.args) == 1:
            yield from self.pieces(node.args[0], depth)
        else:
            yield Piece(text=WILD, name=name)

    def _joined_by(self, glue: str, nodes: list[ast.expr], depth: int) -> Iterator[Piece]:
        for number, node in enumerate(nodes):
            inner: Iterable[Piece] = self.pieces(node, depth + 1) if depth < _DEEPEST else ()
            parts = list(islice(inner, _MOST)) or [Piece(text=WILD)]
            if number:
                yield Piece(text=glue)
                first = parts[0]
                parts[0] = Piece(text=first.text.lstrip(glue), literal=first.literal, name=first.name)
            if number < len(nodes) - 1:
                last = parts[-1]
                parts[-1] = Piece(text=last.text.rstrip(glue), literal=last.literal, name=last.name)
            yield from parts


def _is_slash(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "/"
