"""What a scan prints: text, JSON, SARIF."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from tallyfy_async.scan.findings import RULES, Finding
from tallyfy_async.scan.tree import Tally

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_WARNINGS: Final = frozenset({"TFY101"})


def printable(text: str) -> str:
    """Return a text that every terminal takes: what does not print is escaped, but for tabs."""
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def text_line(finding: Finding) -> str:
    """Return a finding as ``file:line:column: rule message``."""
    cell = f"cell {finding.cell}: " if finding.cell is not None else ""
    mark = " [fixed]" if finding.fixed else " [fixable]" if finding.fixable else ""
    place = f"{printable(finding.path)}:{finding.line}:{finding.column}"
    return f"{place}: {cell}{finding.rule} {finding.message}{mark}"


def json_text(findings: Sequence[Finding], tally: Tally) -> str:
    """Return findings and counts as a JSON object."""
    body = {
        "findings": [_row(finding) for finding in findings],
        "files": tally.files,
        "skipped": dict(sorted(tally.skipped.items())),
        "notes": [{"path": path, "reason": reason} for path, reason in tally.notes],
    }
    return json.dumps(body, indent=2)


def _row(finding: Finding) -> dict[str, Any]:
    row = {
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "rule": finding.rule,
        "old": finding.old,
        "new": finding.new,
        "message": finding.message,
        "fixable": finding.fixable,
        "fixed": finding.fixed,
    }
    return row if finding.cell is None else {**row, "cell": finding.cell}


def sarif_text(findings: Sequence[Finding], tally: Tally, version: str) -> str:
    """Return findings as a SARIF 2.1.0 log with one run; what was not scanned is told as its notifications."""
    ids = list(RULES)
    driver = {
        "name": "tallyfy_async endpoints check",
        "version": version,
        "informationUri": "https://go.tallyfy.com/api",
        "rules": [
            {"id": rule.id, "name": rule.name, "shortDescription": {"text": rule.text}} for rule in RULES.values()
        ],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _notifications(tally)}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, ids.index(finding.rule)) for finding in findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _notifications(tally: Tally) -> list[dict[str, Any]]:
    return [
        {
            "level": "warning",
            "message": {"text": f"skipped: {reason}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(path)}}}],
        }
        for path, reason in tally.notes
    ]


def _result(finding: Finding, index: int) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": "warning" if finding.rule in _WARNINGS else "error",
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.path)},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
    }


def _uri(path: str) -> str:
    """Return a path as a reference: relative ones stay relative."""
    if os.path.isabs(path):  # noqa: PTH117 - a Path refuses what a file system allows
        return "file://" + quote(os.fsencode(path).replace(b"\\", b"/"), safe="/")
    plain = os.fsencode(os.path.normpath(path)).replace(os.sep.encode(), b"/")
    return quote(plain, safe="/")
