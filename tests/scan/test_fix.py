"""Renames are made good in place, and nothing else is touched."""

from __future__ import annotations

import json
import os
import stat
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.protocol.migration import MIGRATIONS, Kind
from tallyfy_async.scan import Finding, fix, scan
from tallyfy_async.scan.source import LARGEST, Skipped, Source
from tallyfy_async.scan.tree import findings_of
from tests.scan.languages import STYLES, notebook, openapi_json, openapi_yaml, postman

RENAMED = [(row, method) for row in MIGRATIONS if row.kind is Kind.RENAMED for method in row.methods]
OTHER = [row for row in MIGRATIONS if row.kind is not Kind.RENAMED]
DOCUMENTS = {"calls.json": postman, "openapi.json": openapi_json, "openapi.yaml": openapi_yaml}


def fixed(file: Path) -> list[Finding]:
    """Fix a file; return what is left."""
    made = fix(str(file), list(scan([file])), largest=LARGEST)
    if made is not None:
        made.write()
    return list(scan([file]))


@pytest.mark.parametrize("name", STYLES)
def test_every_rename_in_every_style(name: str, tmp_path: Path) -> None:
    for row, method in RENAMED:
        assert row.replacement_path is not None
        file = tmp_path / name
        file.write_text(STYLES[name](method, row.path), "utf-8")
        assert fixed(file) == []
        assert file.read_text("utf-8") == STYLES[name](method, row.replacement_path), (method, row.path)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_rename_in_documents(name: str, tmp_path: Path) -> None:
    make = DOCUMENTS[name]
    for row, method in RENAMED:
        assert row.replacement_path is not None
        file = tmp_path / name
        file.write_text(make((method, row.path)), "utf-8")
        assert fixed(file) == []
        text = file.read_text("utf-8")
        wanted = make((method, row.replacement_path))
        if name == "calls.json":  # the name of a request is a person's word
            wanted = wanted.replace(f'"{method} {row.replacement_path}"', f'"{method} {row.path}"')
            assert json.loads(text) == json.loads(wanted)
        else:
            assert text == wanted


@pytest.mark.parametrize("name", STYLES)
def test_what_a_person_has_to_decide_is_not_touched(name: str, tmp_path: Path) -> None:
    for row in OTHER:
        file = tmp_path / name
        before = STYLES[name](row.methods[0] if row.methods else "POST", row.path).encode()
        file.write_bytes(before)
        assert [one.rule for one in fixed(file)] == [f"TFY{row.row:03}"]
        assert file.read_bytes() == before


WORDS = st.text(string.ascii_letters + string.digits + " äß€😀\t{}()[]$%#/'\"\\=+.,:;`<>&?-_", max_size=30)
CALLS = st.sampled_from([(name, row, method) for name in STYLES for row, method in RENAMED])


@given(parts=st.lists(st.tuples(CALLS, WORDS, st.sampled_from(["\n", "\r\n", "\n\n"])), min_size=1, max_size=4))
def test_fixing_again_changes_nothing(
    parts: list[tuple[tuple[str, object, str], str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = parts[0][0][0]
    text = "".join(
        STYLES[style](method, row.path).replace("\n", end) + words + end  # type: ignore[attr-defined]
        for (style, row, method), words, end in parts
    )
    file = tmp_path_factory.mktemp("again") / name
    file.write_bytes(text.encode())
    before = list(scan([file]))
    left = fixed(file)
    assert not [one for one in left if one.fixable]
    once = file.read_bytes()
    assert fixed(file) == left
    assert file.read_bytes() == once
    assert len(once.splitlines()) == len(text.encode().splitlines())
    assert len([one for one in before if not one.fixable]) == len(left)


@given(rubbish=st.binary(max_size=40).filter(lambda data: b"\0" not in data and b"\xff\xfe" not in data[:2]))
def test_bytes_that_do_not_decode_survive(rubbish: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("bytes") / "a.js"
    head = b"// Tallyfy " + rubbish.replace(b"tallyfy: ignore", b"") + b"\r\n"
    file.write_bytes(head + b"fetch(`${BASE}/countries`);\r\n// \xe9\xff\x80 \xc3\r\n")
    assert [one.rule for one in fixed(file) if one.rule < "TFY1"] == []
    assert file.read_bytes() == head + b"fetch(`${BASE}/utils/countries`);\r\n// \xe9\xff\x80 \xc3\r\n"


@pytest.mark.parametrize(
    ("encoding", "cookie"),
    [("latin-1", "# -*- coding: latin-1 -*-\n"), ("cp1252", "# coding=cp1252\n"), ("utf-8-sig", ""), ("utf-16", "")],
)
def test_encodings_stay(encoding: str, cookie: str, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    text = cookie + '# Tallyfy é\nname = "ä"; client.get(BASE + "/countries")\n'
    file.write_bytes(text.encode(encoding))
    assert fixed(file) == []
    assert file.read_bytes() == text.replace("/countries", "/utils/countries").encode(encoding)


def test_newlines_and_mode_stay(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    file.write_bytes(b"#!/bin/sh\r\n# Tallyfy\rcurl $BASE/countries\n")
    file.chmod(0o751)
    assert fixed(file) == []
    assert file.read_bytes() == b"#!/bin/sh\r\n# Tallyfy\rcurl $BASE/utils/countries\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o751
    assert [one.name for one in tmp_path.iterdir()] == ["a.sh"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "a.sh", tmp_path / "b.sh"
    file.write_text("# Tallyfy\ncurl $BASE/countries\n")
    link.symlink_to(file)
    assert fixed(link) == []
    assert link.is_symlink()
    assert "utils/countries" in file.read_text()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.sh"
    file.write_text("# Tallyfy\ncurl $BASE/countries\n")
    made = fix(str(file), list(scan([file])), largest=LARGEST)

    def refuse(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", refuse)
    assert made is not None
    with pytest.raises(OSError, match="no space"):
        made.write()
    assert file.read_text() == "# Tallyfy\ncurl $BASE/countries\n"
    assert [one.name for one in tmp_path.iterdir()] == ["a.sh"]


def test_a_file_that_changed_meanwhile_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    file.write_text("# Tallyfy\ncurl $BASE/countries\n")
    findings = list(scan([file]))
    file.write_text("# Tallyfy\necho\ncurl $BASE/countries\n")
    assert fix(str(file), findings, largest=LARGEST) is None


def test_the_diff_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc123"
    file.write_text(f"# Tallyfy\ncurl $BASE/countries -H 'Authorization: Bearer {token}'\n")
    made = fix(str(file), list(scan([file])), largest=LARGEST)
    assert made is not None
    assert "-curl $BASE/countries" in made.diff
    assert "+curl $BASE/utils/countries" in made.diff
    assert token not in made.diff
    assert token in made.data.decode()


def test_a_line_that_looks_like_a_head_of_the_diff_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "a.lua"
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc123"
    file.write_text(f"-- Tallyfy\n-- curl $BASE/countries -H 'Authorization: Bearer {token}'\n")
    made = fix(str(file), list(scan([file])), largest=LARGEST)
    assert made is not None
    assert "\n--- curl $BASE/countries" in made.diff
    assert token not in made.diff
    assert token not in repr(made)


def test_the_diff_names_the_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    file.write_text("# Tallyfy\n\tcurl $BASE/countries\ncurl $BASE/url-check\n\ncurl $BASE/countries")
    made = fix(str(file), list(scan([file])), largest=LARGEST)
    assert made is not None
    assert made.diff == (
        f"--- a/{file}\n+++ b/{file}\n@@ -2,2 +2,2 @@\n-\tcurl $BASE/countries\n-curl $BASE/url-check\n"
        "+\tcurl $BASE/utils/countries\n+curl $BASE/utils/check-url\n"
        "@@ -5 +5 @@\n-curl $BASE/countries\n+curl $BASE/utils/countries\n"
    )


def test_escaped_slashes_of_json_are_no_matter(tmp_path: Path) -> None:
    """PHP writes them."""
    for name in ("openapi.json", "calls.json"):
        file = tmp_path / name
        file.write_text(DOCUMENTS[name](("GET", "/organizations/{org}/role")).replace("/", "\\/"))
        before = json.loads(file.read_text())
        assert fixed(file) == []
        assert json.loads(file.read_text()) == json.loads(
            json.dumps(before).replace("/role", "/me/role").replace('"role"', '"me", "role"')
            .replace('"GET /organizations/{org}/me/role"', '"GET /organizations/{org}/role"')
        )  # fmt: skip


def test_bytes_that_do_not_decode_move_no_edit(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    line = b'log("countries \xff\xfe\xff\xff\xff\xff\xff\xff"); client.get(BASE + "/countries")\n'
    file.write_bytes(b"# Tallyfy\n" + line)
    assert fixed(file) == []
    assert file.read_bytes() == b"# Tallyfy\n" + line.replace(b"/countries", b"/utils/countries")


def test_a_file_with_two_names_is_left(tmp_path: Path) -> None:
    file, other = tmp_path / "a.sh", tmp_path / "b.sh"
    file.write_text("# Tallyfy\ncurl $BASE/countries\n")
    other.hardlink_to(file)
    made = fix(str(file), list(scan([file])), largest=LARGEST)
    assert made is not None
    with pytest.raises(OSError, match="hard links"):
        made.write()
    assert "utils" not in file.read_text() + other.read_text()


def test_a_file_that_is_changed_after_the_diff_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    file.write_text("# Tallyfy\ncurl $BASE/countries\n")
    made = fix(str(file), list(scan([file])), largest=LARGEST)
    assert made is not None
    for now in ("# Tallyfy\ncurl $BASE/countries\n# saved in between\n", ""):
        file.write_text(now)
        with pytest.raises(Skipped, match="changed meanwhile"):
            made.write()
        assert file.read_text() == now


def test_notebooks_keep_their_form(tmp_path: Path) -> None:
    file = tmp_path / "a.ipynb"
    cells = [
        ("code", '# Tallyfy "ä"\nclient.get(BASE + "/countries")\n'),
        ("markdown", "GET /organizations/{org}/role\n"),
    ]
    file.write_text(notebook(*cells), "utf-8")
    assert [one.cell for one in scan([file])] == [1, 2]
    assert fixed(file) == []
    expected = [
        (kind, text.replace("/countries", "/utils/countries").replace("/role", "/me/role")) for kind, text in cells
    ]
    assert file.read_text("utf-8") == notebook(*expected)


@pytest.mark.parametrize(
    "text",
    [
        'client.get(BASE + "/organizations/" + org + "/users" + "/me")',
        'client.get(f"{BASE}/countries?from=countries")',
        'PATH = "/organizations/{org}/users/" "me"\nclient.get(PATH)',
    ],
)
def test_what_does_not_stand_in_one_piece_is_left(text: str) -> None:
    (finding,) = findings_of("a.py", Source(text=f"# Tallyfy\n{text}\n"))
    assert not finding.fixable
