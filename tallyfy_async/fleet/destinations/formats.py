"""The destinations that are files: NDJSON, Parquet, SQLite."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path

from attrs import field, frozen

from tallyfy_async.export.ndjson import NDJSONTarget
from tallyfy_async.export.sqlite import SQLiteTarget
from tallyfy_async.export.target import Target
from tallyfy_async.fleet.destinations.parquet import ParquetTarget, check_pyarrow
from tallyfy_async.fleet.destinations.pieces import PieceLedger, PieceWriter


def _to_path(value: str | os.PathLike[str]) -> Path:
    return Path(value).expanduser().absolute()


@frozen
class _Files(ABC):
    """A directory that all workers share.

    Attributes:
        path: the directory; it is made where it is missing.

    """

    path: Path = field(converter=_to_path)

    @abstractmethod
    def target(self, organization: str) -> Target:
        """Return the target of an organization."""
        ...

    def ledger(self) -> PieceLedger:
        """Return the ledger."""
        return PieceLedger(self.path, self.target)

    def writer(self) -> PieceWriter:
        """Return a writer."""
        return PieceWriter(self.path)


@frozen
class NDJSON(_Files):
    """A directory of NDJSON files, ``<organization>/<kind>.ndjson``, as ``export.to_ndjson`` writes them."""

    def target(self, organization: str) -> Target:
        """Return the directory of an organization."""
        return NDJSONTarget(self.path / organization)


@frozen
class SQLite(_Files):
    """A directory of SQLite files, ``<organization>.db``, as ``export.to_sqlite`` writes them."""

    def target(self, organization: str) -> Target:
        """Return the file of an organization."""
        return SQLiteTarget(self.path / f"{organization}.db")


@frozen
class Parquet(_Files):
    """A directory of Parquet files, ``<organization>/<kind>.parquet``: id, the kind's columns as text, the JSON.

    Needs the extra ``parquet``. Raises ConfigurationError where it is missing.
    """

    def __attrs_post_init__(self) -> None:
        check_pyarrow()

    def target(self, organization: str) -> Target:
        """Return the directory of an organization."""
        return ParquetTarget(self.path / organization)
