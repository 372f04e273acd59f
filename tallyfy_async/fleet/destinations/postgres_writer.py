"""Rows into PostgreSQL: COPY, upsert by id, and the unit's mark, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import frozen
from psycopg import sql

from tallyfy_async.export.kinds import Kind, Row
from tallyfy_async.export.target import text_of
from tallyfy_async.fleet.destinations.base import Batch, gone, late
from tallyfy_async.fleet.destinations.columns import as_text
from tallyfy_async.fleet.destinations.postgres_ledger import Connection, clean, connect
from tallyfy_async.fleet.units import Unit, UnitMark


@frozen
class PostgresWriter:
    """Writes units; each by a connection of its own, so that nothing is held in between."""

    _address: str
    _schema: str

    def put(self, run: str, unit: Unit, batch: Batch, mark: UnitMark) -> None:
        """Commit the rows of a unit and its mark."""
        with connect(self._address, self._schema) as connection, connection.transaction():
            self._enter(connection, run, unit)
            written = _upsert(connection, unit, batch.rows)
            _note(connection, unit, batch, mark, written)

    def _enter(self, connection: Connection, run: str, unit: Unit) -> None:
        """Keep the unit's round open until the transaction ends; raise ExportError where it has ended."""
        there = connection.execute("SELECT to_regclass('export_run') IS NOT NULL").fetchone()
        if there != (True,) or connection.execute("SELECT run FROM export_run FOR KEY SHARE").fetchone() != (run,):
            raise gone(f"the schema {self._schema}")
        found = connection.execute(
            "SELECT status, round FROM export_lists WHERE organization = %s AND kind = %s FOR SHARE",
            [unit.organization, unit.kind],
        ).fetchone()
        if found != ("reading", unit.round):
            raise late(f"the schema {self._schema}", unit.kind)

    def close(self) -> None:
        """Do nothing: no connection stays open."""


def _upsert(connection: Connection, unit: Unit, rows: Sequence[Row]) -> int:
    """Write the rows that are new or differ; return how many."""
    kind = unit.what
    names = sql.SQL(", ").join(map(sql.Identifier, ("organization", "id", *kind.columns, "json")))
    changes = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in (*kind.columns, "json")
    )
    table = sql.Identifier(kind.name)
    connection.execute(sql.SQL("CREATE TEMP TABLE incoming (LIKE {}) ON COMMIT DROP").format(table))
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY pg_temp.incoming ({}) FROM STDIN").format(names)) as copy,
    ):
        for row in rows:
            copy.write_row((unit.organization, *_values(kind, row)))
    # In the order of their ids, so that two units with the same rows wait for each other and never in a circle.
    statement = sql.SQL(
        "INSERT INTO {table} AS old ({names}) SELECT DISTINCT ON (id) {names} FROM pg_temp.incoming ORDER BY id"
        " ON CONFLICT (organization, id) DO UPDATE SET {changes} WHERE old.json::text <> excluded.json::text"
    )
    return connection.execute(statement.format(table=table, names=names, changes=changes)).rowcount


def _values(kind: Kind, row: Row) -> tuple[str | None, ...]:
    return clean(row.id), *(_column(row.data.get(name)) for name in kind.columns), text_of(row)


def _column(value: object) -> str | None:
    text = as_text(value)
    return None if text is None else clean(text)


def _note(connection: Connection, unit: Unit, batch: Batch, mark: UnitMark, written: int) -> None:
    one = [unit.organization, unit.kind]
    connection.execute(
        "INSERT INTO export_seen SELECT %s, %s, id FROM unnest(%s::text[]) AS id ORDER BY id ON CONFLICT DO NOTHING",
        [*one, sorted({clean(id_) for id_ in batch.ids})],
    )
    connection.execute(
        "INSERT INTO export_units AS old VALUES (%s, %s, %s, %s, %s) ON CONFLICT (organization, kind, first)"
        " DO UPDATE SET mark = excluded.mark, written = old.written + excluded.written",
        [*one, unit.first, json.dumps(mark.to_dict()), written],
    )
