"""What the scanner reports."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final

from attrs import field, frozen

from tallyfy_async.protocol.migration import EFFECTIVE, MIGRATIONS, Kind, Migration

MISSING_HEADER = "TFY101"
JSON_LOGIN = "TFY102"
SECRET = "TFY103"  # noqa: S105 - the number of a rule


@frozen(kw_only=True)
class Rule:
    """A thing to look for.

    Attributes:
        id: TFY001 to TFY040 are the rows of seed 000, TFY101 and up the client mistakes the seeds warn of.
        name: a word for it.
        text: what is wrong.

    """

    id: str
    name: str
    text: str


def rule_of(row: Migration) -> str:
    """Return the id of the rule that looks for a row of seed 000."""
    return f"TFY{row.row:03}"


def _rules() -> dict[str, Rule]:
    ids = [(rule_of(row), f"endpoint-{row.kind}", f"{old_of(row)} {outcome(row)}") for row in MIGRATIONS]
    mistakes = [
        (MISSING_HEADER, "missing-client-header", "The API rejects requests without X-Tallyfy-Client: APIClient."),
        (JSON_LOGIN, "json-login", "/auth/login with a JSON body is gone: tokens are asked for with a form."),
        (SECRET, "secret-in-code", "A secret stands in the source, where everybody who reads it can use it."),
    ]
    return {id_: Rule(id=id_, name=name, text=text) for id_, name, text in [*ids, *mistakes]}


def old_of(row: Migration, method: str | None = None) -> str:
    """Return method and path template of a row; every method of the row where the call's is not known."""
    verb = method or "/".join(row.methods)
    return f"{verb} {row.path}".strip()


def outcome(row: Migration, method: str | None = None) -> str:
    """Say what became of an endpoint, and what to call instead."""
    instead = row.replacement(method)
    if row.kind is Kind.RENAMED:
        return f"was renamed on {EFFECTIVE}: call {instead}"
    if instead is not None:
        return f"was removed on {EFFECTIVE}: call {instead}"
    nearest = f"; the nearest today is {row.hint}" if row.hint else " without replacement"
    return f"was removed on {EFFECTIVE}{nearest}"


RULES: Mapping[str, Rule] = _rules()
"""Every rule by its id."""


@frozen(kw_only=True)
class Edit:
    """A piece of text to put in the place of another.

    Attributes:
        start, end: offsets in characters.
        text: what to put there.

    """

    start: int
    end: int
    text: str


@frozen(kw_only=True)
class Hit:
    """A finding before it has a file: offsets instead of lines."""

    start: int
    rule: str
    old: str
    message: str
    new: str | None = None
    edits: tuple[Edit, ...] = ()

    def moved(self, where: Callable[[int], int | None]) -> Hit | None:
        """Return the hit with its offsets mapped, None where its start lies nowhere; edits that lie nowhere go."""
        start = where(self.start)
        if start is None:
            return None
        ends = [(edit, where(edit.start), where(edit.end)) for edit in self.edits]
        edits = [
            Edit(start=first, end=last, text=edit.text)
            for edit, first, last in ends
            if first is not None and last is not None and last - first == edit.end - edit.start
        ]
        whole = tuple(edits) if len(edits) == len(self.edits) else ()
        return Hit(start=start, rule=self.rule, old=self.old, message=self.message, new=self.new, edits=whole)


@frozen(kw_only=True)
class Finding:
    """An old endpoint or a mistake in a file.

    Attributes:
        path: the file, as it was reached from the given path.
        line, column: from 1, in the file; columns count characters.
        cell: number of the notebook's cell from 1, None elsewhere.
        rule: id in ``RULES``.
        old: method and path template as seed 000 has them, or the masked mistake; never text of the file.
        new: what to use instead, None where there is nothing.
        message: the whole sentence.
        edits: what makes a pure rename good, in offsets of characters; empty where a person has to decide.
        fixed: whether the file has been rewritten.

    """

    path: str
    line: int
    column: int
    rule: str
    old: str
    new: str | None
    message: str
    cell: int | None = None
    edits: tuple[Edit, ...] = field(default=(), repr=False)
    fixed: bool = False

    @property
    def fixable(self) -> bool:
        """Whether ``--fix`` can rewrite it."""
        return bool(self.edits)


IGNORE: Final = re.compile(r"tallyfy:[ \t]*+ignore", re.IGNORECASE)
"""What a line has in it whose findings are not wanted."""


class Lines:
    """Tells line and column of an offset; lines end with LF, CR LF or CR, as Python's do."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.starts = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def ignored(self, offset: int) -> bool:
        """Whether what stands there is not wanted, by a word on its line."""
        return bisect_right(self.starts, offset) in self._ignored

    @cached_property
    def _ignored(self) -> set[int]:
        return {bisect_right(self.starts, match.start()) for match in IGNORE.finditer(self._text)}


def endpoint_hit(row: Migration, method: str | None, start: int, edits: tuple[Edit, ...]) -> Hit:
    """Return the hit for a call of an old endpoint."""
    verb = method if method in row.methods or not row.methods else None
    old = old_of(row, verb)
    return Hit(
        start=start,
        rule=rule_of(row),
        old=old,
        new=row.replacement(verb),
        message=f"{old} {outcome(row, verb)}",
        edits=edits if row.kind is Kind.RENAMED else (),
    )
