"""Rewrite the pure renames in place."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable

from attrs import evolve, field, frozen

from tallyfy_async.protocol.redaction import redact
from tallyfy_async.scan.findings import Edit, Finding, Lines
from tallyfy_async.scan.source import Skipped, decode, read_bytes, suffix_of
from tallyfy_async.scan.tree import findings_of


@frozen(kw_only=True)
class Fixed:
    """A file whose renames are made good.

    Attributes:
        path: the file.
        findings: what was made good.
        diff: the change, secrets masked.
        data: the new contents.
        before: the old ones.

    """

    path: str
    findings: tuple[Finding, ...]
    diff: str
    data: bytes = field(repr=False)
    before: bytes = field(repr=False)

    def write(self) -> None:
        """Put the new contents in the place of the old ones at once; mode and owner stay.

        Raises OSError where that cannot be done, and Skipped where the file has been changed since it was read.
        """
        path = os.path.realpath(self.path)
        if not _holds(path, self.before):
            raise Skipped("it was changed meanwhile")
        _replace(path, self.data)


def fix(path: str, findings: Iterable[Finding], *, largest: int) -> Fixed | None:
    """Return a file with its fixable findings made good, None where the file has changed or has none.

    Encoding, newlines and bytes that do not decode stay as they are. Nothing is written before ``write``.
    Raises Skipped where the file cannot be read any more, or not be written as it was read.
    """
    before = read_bytes(path, largest)
    source = decode(before, suffix_of(path))
    if source.encode(source.text) != before:
        raise Skipped(f"its bytes would not survive being written as {source.encoding}")
    now = {(one.rule, one.edits) for one in findings_of(path, source, named=True)}
    good: list[Finding] = []
    edits: list[Edit] = []
    for one in findings:
        if one.fixable and (one.rule, one.edits) in now and not _overlap(edits, one.edits):
            edits.extend(edit for edit in one.edits if edit not in edits)
            good.append(evolve(one, fixed=True))
    if not good:
        return None
    text = _edited(source.text, edits)
    diff = _diff(path, source.text, edits)
    return Fixed(path=path, findings=tuple(good), diff=diff, data=source.encode(text), before=before)


def _holds(path: str, data: bytes) -> bool:
    try:
        return read_bytes(path, len(data) + 1) == data
    except Skipped:
        return False


def _overlap(known: list[Edit], added: Iterable[Edit]) -> bool:
    return any(one != other and one.start < other.end and other.start < one.end for one in known for other in added)


def _edited(text: str, edits: Iterable[Edit], first: int = 0) -> str:
    """Return a text with its edits made; ``first`` is the offset that it has in the file."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[at : edit.start - first], edit.text]
        at = edit.end - first
    return "".join([*parts, text[at:]])


def _diff(path: str, text: str, edits: list[Edit]) -> str:
    """Return the change as a unified diff without context."""
    shown, more, starts = [f"--- a/{path}", f"+++ b/{path}"], 0, [*Lines(text).starts, len(text)]
    for first, last, group in _hunks(text, edits):
        whole = text[starts[first - 1] : starts[last]]
        old, new = _lines(whole), _lines(_edited(whole, group, starts[first - 1]))
        shown.append(f"@@ -{_range(first, old)} +{_range(first + more, new)} @@")
        shown += [f"-{redact(line)}" for line in old]
        shown += [f"+{redact(line)}" for line in new]
        more += len(new) - len(old)
    return "".join(f"{line}\n" for line in shown)


def _hunks(text: str, edits: list[Edit]) -> list[tuple[int, int, list[Edit]]]:
    """Return first line, last line and edits of each stretch of lines that change."""
    lines, found = Lines(text), list[tuple[int, int, list[Edit]]]()
    for edit in sorted(edits, key=lambda edit: edit.start):
        first, last = lines.place(edit.start)[0], lines.place(edit.end)[0]
        if found and first <= found[-1][1] + 1:
            begun, end, group = found.pop()
            group.append(edit)
            found.append((begun, max(last, end), group))
        else:
            found.append((first, last, [edit]))
    return found


def _range(first: int, lines: list[str]) -> str:
    return f"{first},{len(lines)}" if len(lines) > 1 else f"{first}"


def _lines(text: str) -> list[str]:
    """Split at the ends of lines, of which the last one is none."""
    return re.split(r"\r\n|\r|\n", re.sub(r"(?:\r\n|\r|\n)\Z", "", text))


def _replace(path: str, data: bytes) -> None:
    known = os.stat(path)  # noqa: PTH116 - the path may be no text that a Path prints
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path!r} is read-only")
    if known.st_nlink > 1:
        raise PermissionError(f"{path!r} has other names (hard links), which would keep the old contents")
    handle, beside = tempfile.mkstemp(prefix=".tallyfy-", dir=os.path.dirname(path))  # noqa: PTH120 - as above
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError, AttributeError):  # not ours to give away, or Windows
            os.chown(beside, known.st_uid, known.st_gid)
        os.chmod(beside, known.st_mode & 0o7777)  # noqa: PTH101 - as above
        os.replace(beside, path)  # noqa: PTH105 - as above
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)  # noqa: PTH108 - as above
        raise
