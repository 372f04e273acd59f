"""Trees with everything in them that trees have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.scan import EXCLUDED, Tally, scan

CALL = '# Tallyfy\nclient.get(BASE + "/countries")\n'


def names(*paths: Path, **options: object) -> list[str]:
    return [Path(one.path).name for one in scan(paths, **options)]  # type: ignore[arg-type]


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.py", "a/z.py", "a/b/c.py", "c/a.py", "a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(CALL)
    found = [Path(one.path).relative_to(tmp_path).as_posix() for one in scan([tmp_path])]
    assert found == ["a.py", "b.py", "a/z.py", "a/b/c.py", "c/a.py"]


@pytest.mark.parametrize("name", EXCLUDED)
def test_what_is_left_out(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.py").write_text(CALL)
    (tmp_path / "b.py").write_text(CALL)
    assert names(tmp_path) == ["b.py"]
    assert names(tmp_path / name) == ["a.py"]  # named itself


def test_patterns_leave_out_names_and_paths(tmp_path: Path) -> None:
    for name in ("a.py", "b.min.js", "vendor/c.py", "src/old/d.py", "src/e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(CALL)
    assert names(tmp_path, exclude=["*.min.js", "vendor", "src/old/"]) == ["a.py", "e.py"]


def test_binary_huge_and_strange_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(CALL.encode())
    (tmp_path / "b.dat").write_bytes(b"\0" + CALL.encode())
    (tmp_path / "c.dat").write_bytes(b"\0" * 10)
    (tmp_path / "d.py").write_text(CALL + "#" * 1000)
    os.mkfifo(tmp_path / "e.py")
    (tmp_path / "f.py").write_text(CALL)
    (tmp_path / "empty.py").write_bytes(b"")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    tally = Tally()
    assert names(tmp_path, largest=500, tally=tally) == ["f.py"]
    assert tally.skipped == {"binary": 4, "too large": 1, "not a regular file": 1}
    assert sorted((Path(path).name, reason) for path, reason in tally.notes) == [
        ("d.py", "too large"),
        ("e.py", "not a regular file"),
    ]
    assert (tally.findings, tally.files) == (1, 7)


def test_a_fifo_that_is_named_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    tally = Tally()
    assert names(tmp_path / "a.py", tally=tally) == []
    assert tally.skipped == {"not a regular file": 1}


def test_links_make_no_loop_and_no_doubles(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "a.py").write_text(CALL)
    (folder / "loop").symlink_to(tmp_path, target_is_directory=True)
    (folder / "self").symlink_to("self")
    (folder / "gone.py").symlink_to("nowhere.py")
    (folder / "same.py").symlink_to("a.py")
    assert names(tmp_path) == ["a.py"]
    assert names(folder / "same.py") == ["same.py"]
    assert names(folder / "same.py", folder / "a.py") == ["same.py"]
    assert names(tmp_path, folder, folder / "a.py", folder / ".." / "a" / "a.py") == ["a.py"]


def test_a_very_deep_tree(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(300):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text(CALL)
    assert names(tmp_path) == ["a.py"]


def test_a_path_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file or folder: .*nowhere"):
        scan([tmp_path, tmp_path / "nowhere"])


def test_a_file_that_goes_away_is_counted(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(CALL)
    tally = Tally()
    found = scan([tmp_path], tally=tally)
    assert Path(next(found).path).name == "a.py"
    (tmp_path / "b.py").unlink()
    assert list(found) == []
    assert tally.skipped == {"unreadable": 1}


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 3000 + ")" * 3000,
        "x = " + "+".join(["'a'"] * 30000),
        "x = '\ud800'",
        "def f(:\n",
        "print 'a'",
        "x = 1\x0c\n",
    ],
    ids=["parentheses", "long", "surrogate", "broken", "python 2", "form feed"],
)
def test_python_that_does_not_parse_is_scanned_as_text(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes((CALL + text).encode("utf-8", "surrogatepass"))
    assert names(tmp_path) == ["a.py"]


@pytest.mark.parametrize("name", ["a.ipynb", "a.json", "openapi.json", "openapi.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "]",
        '{"openapi": "3.1.0", "paths": [1, {"a": null}]',
        '{"cells": [{"source": {"a": "b"}}, 1], "item": [{"request": 5}], "request": "GET"}',
        '{"cells": {"0": {"source": ["GET /countries"]}}}',
        '{"item": [{"request": "http://go.tallyfy.com/api/me", "event": [{"script": {"exec": [1, "x"]}}]}]}',
    ],
)
def test_broken_documents_do_no_harm(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"{text}\n" if name != "x" else text)
    assert [one for one in scan([tmp_path / name]) if one.rule > "TFY040"] == []


def test_progress_is_told_after_every_file(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.py").write_text(CALL)
    seen: list[tuple[int, int]] = []
    list(scan([tmp_path], progress=lambda tally: seen.append((tally.files, tally.findings))))
    assert seen == [(number, number) for number in range(1, 6)]


def test_only_files_that_matter_are_parsed(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"{number:03}.py").write_text(f"def f{number}(): return {number}\n")
    (tmp_path / "z.py").write_text(CALL)
    tally = Tally()
    assert names(tmp_path, tally=tally) == ["z.py"]
    assert tally.files == 501
