"""Parquet files: rows are kept as NDJSON while their list is read, and turned into columns when it is complete."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.export.folder import replacing
from tallyfy_async.export.kinds import Kind, row_of
from tallyfy_async.export.ndjson import NDJSONTarget
from tallyfy_async.export.target import encodable
from tallyfy_async.fleet.destinations.columns import as_text

_ROWS = 10_000
_BYTES = 32 << 20
"""Rows, and bytes of their JSON, of a row group; at most one row more."""


def check_pyarrow() -> None:
    """Raise ConfigurationError where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        msg = 'Parquet needs pyarrow: pip install "tallyfy-async[parquet]"'
        raise ConfigurationError(msg)


@define(eq=False)
class ParquetTarget(NDJSONTarget):
    """Rows in a directory of Parquet files; only what stands for a complete kind differs from NDJSON."""

    def _file(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.parquet"

    def _lines_of(self, kind: Kind) -> Iterator[bytes]:
        file = self._file(kind)
        return _texts(file) if file.exists() else iter(())

    def _put_in_place(self, kind: Kind, lines: Iterable[bytes]) -> None:
        with replacing(self._file(kind)) as file:
            _write(kind, lines, file)


def _parquet() -> Any:
    return import_module("pyarrow.parquet")  # an extra, and without types


def _texts(file: Path) -> Iterator[bytes]:
    with _parquet().ParquetFile(file) as opened:
        if not opened.metadata.num_rows:  # earlier versions of pyarrow fail where there is nothing to give
            return
        for batch in opened.iter_batches(1_000, columns=["json"]):
            yield from (text.encode() + b"\n" for text in batch.column("json").to_pylist())


def _write(kind: Kind, lines: Iterable[bytes], file: BinaryIO) -> None:
    pa: Any = import_module("pyarrow")
    names = ("id", *kind.columns, "json")
    schema = pa.schema([pa.field(name, pa.string(), nullable=name not in {"id", "json"}) for name in names])
    with _parquet().ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(lines):
            writer.write_table(pa.Table.from_pylist([_columns(kind, line) for line in group], schema=schema))


def _groups(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line)
        if len(group) == _ROWS or size > _BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _columns(kind: Kind, line: bytes) -> Mapping[str, str | None]:
    row = row_of(kind, json.loads(line), kind.name)
    columns = {name: as_text(row.data.get(name)) for name in kind.columns}
    return {**columns, "id": encodable(row.id), "json": line.rstrip(b"\n").decode()}
