"""Parquet files: the rows of a kind come as NDJSON and are turned into columns when the kind is complete."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from attrs import define, field

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.export.kinds import Kind, Row, row_of
from tallyfy_async.export.ndjson import NDJSONTarget
from tallyfy_async.export.target import Mark, Opening, Plan, text_of
from tallyfy_async.fleet.destinations.files import sync_folder, write_whole

_GROUP = 10_000
"""Rows of a row group."""


def check_pyarrow() -> None:
    """Raise ConfigurationError where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        msg = 'Parquet needs pyarrow: pip install "tallyfy-async[parquet]"'
        raise ConfigurationError(msg)


@define(eq=False)
class ParquetTarget:
    """Rows in a directory of Parquet files, by way of NDJSON.

    A kind that is complete lies there as NDJSON for a moment, with the rows of the Parquet file that stay; the Parquet
    file is written from that, and the NDJSON removed. A kill between the two is made good when the target is opened.
    """

    path: Path
    _inner: NDJSONTarget = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._inner = NDJSONTarget(self.path)

    def open(self, plan: Plan) -> Opening:
        """Make or open the directory; raise what NDJSONTarget raises."""
        opening = self._inner.open(plan)
        for kind in plan.kinds:
            if opening.marks[kind.name].status == "done":
                self._convert(kind)
            else:
                self._lines(kind).unlink(missing_ok=True)
        return opening

    def put(self, kind: Kind, rows: Sequence[Row], mark: Mark) -> Mark:
        """Append rows."""
        return self._inner.put(kind, rows, mark)

    def finish(self, kind: Kind, mark: Mark, *, prune: bool) -> Mark:
        """Close a kind and write its Parquet file, which replaces the earlier one in one step."""
        if self._columns(kind).exists():
            write_whole(self._lines(kind), _texts(self._columns(kind)))
        mark = self._inner.finish(kind, mark, prune=prune)
        self._convert(kind)
        return mark

    def complete(self) -> None:
        """Note that all kinds are done."""
        self._inner.complete()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _lines(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.ndjson"

    def _columns(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.parquet"

    def _convert(self, kind: Kind) -> None:
        lines = self._lines(kind)
        if not lines.exists():
            return
        new = self.path / f"{kind.name}.{uuid4().hex}.new"
        try:
            _write(kind, lines, new)
            new.replace(self._columns(kind))
        finally:
            new.unlink(missing_ok=True)
        sync_folder(self.path)
        lines.unlink()


def _parquet() -> Any:
    return import_module("pyarrow.parquet")  # an extra, and without types


def _texts(file: Path) -> Iterator[bytes]:
    with _parquet().ParquetFile(file) as opened:
        if not opened.metadata.num_rows:  # earlier versions of pyarrow fail where there is nothing to give
            return
        for batch in opened.iter_batches(_GROUP, columns=["json"]):
            yield from (text.encode() + b"\n" for text in batch.column("json").to_pylist())


def _write(kind: Kind, lines: Path, place: Path) -> None:
    pa: Any = import_module("pyarrow")
    names = ("id", *(name for name in kind.columns if name != "id"), "json")
    schema = pa.schema([pa.field(name, pa.string(), nullable=name not in {"id", "json"}) for name in names])
    with lines.open("rb") as file, _parquet().ParquetWriter(place, schema, compression="zstd") as writer:
        for some in iter(partial(_some, file), []):
            rows = [row_of(kind, json.loads(line), lines.name) for line in some]
            columns: dict[str, list[str | None]] = {
                name: [as_text(row.data.get(name)) for row in rows] for name in names[1:-1]
            }
            whole = {"id": [_clean(row.id) for row in rows], **columns, "json": [text_of(row) for row in rows]}
            writer.write_table(pa.table(whole, schema=schema))


def _some(file: Any) -> list[bytes]:
    return list(islice(file, _GROUP))


def as_text(value: object) -> str | None:
    """Return a scalar as text, as JSON spells it; None for what is no scalar."""
    if isinstance(value, str):
        return _clean(value)
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
