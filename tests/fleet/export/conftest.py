from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tallyfy_async import fleet
from tests.fleet.export.place import Place, files
from tests.fleet.export.postgres_server import WHY_NOT, binaries, served_postgres


@pytest.fixture(params=["ndjson", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a destination of each kind of file that does not exist yet."""
    return files(request.param, tmp_path / "fleet")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Give the address of a real server's database."""
    if binaries() is None:
        pytest.skip(WHY_NOT)
    with served_postgres() as address:
        yield address


@pytest.fixture
def schema(postgres: str) -> Place:
    """Give a schema of its own."""
    return Place(to=fleet.PostgreSQL(postgres, schema=f"t_{uuid4().hex}"), name="postgres")


@pytest.fixture(params=["ndjson", "sqlite", "parquet", "postgres"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a destination of each kind that does not exist yet."""
    if request.param == "postgres":
        return request.getfixturevalue("schema")  # type: ignore[no-any-return]
    return files(request.param, tmp_path / "fleet")
