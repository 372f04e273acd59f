"""Scan files and trees of files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from typing import Final

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.scan.documents import is_openapi, is_postman, notebook_cells, openapi_hits, postman_hits
from tallyfy_async.scan.effort import Effort
from tallyfy_async.scan.findings import Finding, Hit, Lines
from tallyfy_async.scan.python import python_hits
from tallyfy_async.scan.secrets import secret_hits
from tallyfy_async.scan.source import LARGEST, Skipped, Source, decode, read_bytes, suffix_of
from tallyfy_async.scan.text import text_hits

EXCLUDED: Final = (
    ".git",
    ".hg",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    "__pycache__",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)
"""Names that a walk leaves out."""
DENSE: Final = "too dense: scanned in part"
"""What is told of a file with more addresses than are looked at, or more findings than are shown: a thousand or so."""
_ALWAYS: Final = (
    b"allyfy",
    b"ALLYFY",
    b"organizations",
    b"static/config",
    b"reset-password-from-account",
    b"start-run",
    b"post-comment",
    b"zapier",
)
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_PYTHON: Final = frozenset({".py", ".pyi", ".pyw"})
_SHEBANG: Final = re.compile(r"#![^\n]*\bpython")


@define
class Tally:
    """What a scan has seen so far.

    Attributes:
        files: how many have been looked at.
        findings: how many things were found.
        skipped: how many files were not scanned, or not wholly, by reason.
        notes: path and reason of the first hundred of them; binary ones are not named.

    """

    files: int = 0
    findings: int = 0
    skipped: Counter[str] = field(factory=Counter[str])
    notes: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    def skip(self, path: str, reason: str) -> None:
        """Count a file that is not scanned, or not wholly."""
        self.skipped[reason] += 1
        if reason != "binary" and len(self.notes) < 100:
            self.notes.append((path, reason))


def scan(
    paths: Iterable[str | os.PathLike[str]],
    *,
    exclude: Iterable[str] = (),
    largest: int = LARGEST,
    any_file: bool = False,
    tally: Tally | None = None,
    progress: Callable[[Tally], None] | None = None,
) -> Iterator[Finding]:
    """Yield the old endpoints (seed 000) and client mistakes (seeds 001 and 002) in files and trees, file by file.

    Symbolic links inside of a tree are not followed. Paths that other servers know as well, such as ``/countries``,
    count where the file mentions Tallyfy or was named itself.

    Args:
        paths: files and folders.
        exclude: patterns of names, or of paths below a folder, that are left out besides ``EXCLUDED``.
        largest: bytes of the largest file that is scanned.
        any_file: whether every file counts as one that is about Tallyfy.
        tally: counts as the scan goes on.
        progress: is told the tally after every file.

    Raises:
        ConfigurationError: at once, for a path that does not exist.

    """
    given = [os.fspath(path) for path in paths]
    missing = next((path for path in given if not os.path.exists(path)), None)  # noqa: PTH110 - many paths, no objects
    if missing is not None:
        raise ConfigurationError(f"no such file or folder: {missing!r}")
    walk = _Scan(exclude=(*EXCLUDED, *exclude), largest=largest, any_file=any_file, progress=progress)
    return walk.findings(given, Tally() if tally is None else tally)


@frozen(kw_only=True)
class _Scan:
    exclude: tuple[str, ...]
    largest: int
    any_file: bool
    progress: Callable[[Tally], None] | None

    def findings(self, given: list[str], tally: Tally) -> Iterator[Finding]:
        seen: set[str] = set()
        for top in given:
            named = not os.path.isdir(top)  # noqa: PTH112 - as above
            real = os.path.realpath(top)
            for path in [top] if named else _files(top, self.exclude, tally):
                whole = real if named else real + os.sep + path[len(top) :].lstrip(os.sep)
                if whole in seen:
                    continue
                seen.add(whole)
                tally.files += 1
                for finding in _scan_file(path, self.largest, tally, named=named or self.any_file):
                    tally.findings += 1
                    yield finding
                if self.progress is not None:
                    self.progress(tally)


def _files(top: str, exclude: tuple[str, ...], tally: Tally) -> Iterator[str]:
    """Yield the files of a tree in the order of their names."""
    plain = frozenset(pattern for pattern in exclude if not re.search(r"[*?\[/]", pattern))
    patterns = [pattern.rstrip("/") for pattern in exclude if pattern not in plain]
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name, reverse=True)
        except OSError:
            tally.skip(folder, "unreadable")
            continue
        folders: list[str] = []
        for entry in reversed(entries):
            if entry.name in plain or (patterns and _excluded(entry, top, patterns)):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path
            elif not entry.is_symlink():
                tally.skip(entry.path, "not a regular file")
        waiting.extend(reversed(folders))


def _excluded(entry: os.DirEntry[str], top: str, patterns: list[str]) -> bool:
    below = os.path.relpath(entry.path, top).replace(os.sep, "/")
    return any(fnmatch(entry.name, pattern) or fnmatch(below, pattern) for pattern in patterns)


def _scan_file(path: str, largest: int, tally: Tally, *, named: bool) -> list[Finding]:
    try:
        data = read_bytes(path, largest)
        if not named and not data.startswith(_WIDE) and not any(word in data for word in _ALWAYS):
            if b"\0" in data[:8192]:
                tally.skip(path, "binary")
            return []
        source = decode(data, suffix_of(path))
    except Skipped as reason:
        tally.skip(path, str(reason))
        return []
    effort = Effort()
    findings = findings_of(path, source, effort, named=named)
    if effort.spent:
        tally.skip(path, DENSE)
    return findings


def findings_of(path: str, source: Source, effort: Effort | None = None, *, named: bool = False) -> list[Finding]:
    """Return the findings of a file that has been read, in the order of their lines.

    ``effort`` is what may be spent on it; what that does not pay for is left out, and ``effort.spent`` tells so.
    """
    text, effort = source.text, Effort() if effort is None else effort
    mentions = "tallyfy" in text.lower() or "tallyfy" in os.path.basename(path).lower()  # noqa: PTH119 - a text
    meant = mentions or named
    found: list[tuple[int | None, Hit]] = []
    if mentions:
        found += [(None, hit) for hit in effort.hits(secret_hits(text))]
    found += _hits(path, text, effort, meant=meant)
    lines = Lines(text)
    findings = [_finding(path, lines, cell, hit) for cell, hit in found if not lines.ignored(hit.start)]
    wanted = {(one.line, one.column, one.rule, one.old): one for one in findings}
    return [wanted[key] for key in sorted(wanted)]


def _hits(path: str, text: str, effort: Effort, *, meant: bool) -> list[tuple[int | None, Hit]]:
    suffix = suffix_of(path)
    try:
        if suffix == ".ipynb":
            cells = notebook_cells(text, effort, meant=meant)
            return [(cell.number, hit) for cell in cells for hit in cell.hits]
        hits = _of_kind(suffix, text, effort, meant=meant)
    except ValueError:
        hits = None
    if hits is None:
        hits = text_hits(text, suffix, effort, meant=meant)
    return [(None, hit) for hit in hits]


def _of_kind(suffix: str, text: str, effort: Effort, *, meant: bool) -> list[Hit] | None:
    """Return the hits of a file whose kind is known, None where it is any text."""
    if suffix in _PYTHON or (not suffix and _SHEBANG.match(text)):
        return python_hits(text, effort, meant=meant)
    if suffix in {".json", ".yaml", ".yml"} and is_openapi(text):
        return openapi_hits(text, effort, is_json=suffix == ".json", meant=meant)
    if suffix == ".json" and is_postman(text):
        return postman_hits(text, effort, meant=meant)
    return None


def _finding(path: str, lines: Lines, cell: int | None, hit: Hit) -> Finding:
    line, column = lines.place(hit.start)
    return Finding(
        path=path,
        line=line,
        column=column,
        rule=hit.rule,
        old=hit.old,
        new=hit.new,
        message=hit.message,
        cell=cell,
        edits=hit.edits,
    )
