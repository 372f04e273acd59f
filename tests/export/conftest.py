from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.place import Place


@pytest.fixture(params=["sqlite", "ndjson"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a target of each kind that does not exist yet."""
    is_file = request.param == "sqlite"
    return Place(path=tmp_path / ("organization.db" if is_file else "organization"), is_file=is_file)
