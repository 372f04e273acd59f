from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallyfy_async import fleet
from tests.fleet.export.place import Place, files
from tests.fleet.export.postgres_server import WHY_NOT, binaries, served_postgres


@pytest.fixture(params=["ndjson", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a destination of each kind of file that does not exist yet."""
    return files(request.param, tmp_path / "fleet")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Give the address of a real server's database."""
    if binaries() is None:
        pytest.skip(WHY_NOT)
    with served_postgres() as address:
        yield address


@pytest.fixture
def schema(postgres: str, request: pytest.FixtureRequest) -> Place:
    """Give a schema of its own."""
    name = tempfile.mktemp(prefix="t_", dir="").lower()
    return Place(to=fleet.PostgreSQL(postgres, schema=name), name="postgres")
