"""Rewrite the pure renames in place."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import tempfile
from collections.abc import Iterable

from attrs import evolve, frozen

from tallyfy_async.protocol.redaction import redact
from tallyfy_async.scan.findings import Edit, Finding
from tallyfy_async.scan.source import decode, read_bytes, suffix_of
from tallyfy_async.scan.tree import findings_of


@frozen(kw_only=True)
class Fixed:
    """A file whose renames are made good.

    Attributes:
        path: the file.
        findings: what was made good.
        diff: the change, secrets masked.
        data: the new contents.

    """

    path: str
    findings: tuple[Finding, ...]
    diff: str
    data: bytes

    def write(self) -> None:
        """Put the new contents in the place of the old ones at once; mode and owner stay. Raises OSError."""
        _replace(os.path.realpath(self.path), self.data)


def fix(path: str, findings: Iterable[Finding], *, largest: int) -> Fixed | None:
    """Return a file with its fixable findings made good, None where the file has changed or has none.

    Encoding, newlines and bytes that do not decode stay as they are. Nothing is written before ``write``.
    Raises Skipped where the file cannot be read any more.
    """
    source = decode(read_bytes(path, largest), suffix_of(path))
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
    diff = _diff(path, source.text, text)
    return Fixed(path=path, findings=tuple(good), diff=diff, data=source.encode(text))


def _overlap(known: list[Edit], added: Iterable[Edit]) -> bool:
    return any(one != other and one.start < other.end and other.start < one.end for one in known for other in added)


def _edited(text: str, edits: list[Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _diff(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(_lines(old), _lines(new), f"a/{path}", f"b/{path}", n=0, lineterm="")
    return "".join(f"{line if line.startswith(('---', '+++', '@@')) else redact(line)}\n" for line in lines)


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _replace(path: str, data: bytes) -> None:
    known = os.stat(path)  # noqa: PTH116 - the path may be no text that a Path prints
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path!r} is read-only")
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
