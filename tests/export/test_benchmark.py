"""What the row ``export`` is made of, without its peer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.harness import RowError
from benchmarks.rows import export as row
from tests.export.place import made


def test_ours_counts_the_tasks_that_were_exported() -> None:
    with made().serve() as sandbox:
        login = sandbox.credentials
        place = row.Place(url=sandbox.url, token=login.personal_token, organization=login.organization)
        assert row.afresh(place) == 90


def test_a_side_that_reads_less_is_no_side() -> None:
    assert row._rate(lambda: 5, 5) > 0
    with pytest.raises(RowError, match="4 tasks of 5"):
        row._rate(lambda: 4, 5)


def test_the_official_sdk_sends_the_same_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int | None]] = []
    closed: list[bool] = []

    def answer(_method: str, path: str, *, params: dict[str, Any]) -> dict[str, Any]:
        asked.append((path, params.get("page")))
        return {"data": [1, 2], **({"meta": {"pagination": {"total_pages": 2}}} if "page" in params else {})}

    sdk = SimpleNamespace(_make_request=answer, session=SimpleNamespace(close=lambda: closed.append(True)))
    monkeypatch.setattr(row, "peer", lambda _name: SimpleNamespace(TallyfySDK=lambda **_: sdk))
    assert row.in_turn(row.Place(url="http://x", token="t", organization="o")) == 4
    assert closed == [True]
    paged = [kind for kind in row.KINDS if kind.operation.max_per_page is not None]
    assert len(asked) == len(set(asked)) + 2 == len(row.KINDS) + len(paged)  # both trees of folders have one path
    assert {("organizations/o", None), ("organizations/o/roles", None), ("organizations/o/tasks", 2)} <= set(asked)


def test_all_pages_of_the_official_sdk_are_read() -> None:
    def read(*, page: int) -> Any:
        return SimpleNamespace(data=[page] * 2, meta=SimpleNamespace(total_pages=3))

    assert row._pages(read) == [1, 1, 2, 2, 3, 3]
