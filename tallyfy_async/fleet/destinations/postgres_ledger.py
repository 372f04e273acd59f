"""How far an export into PostgreSQL is, in tables beside the rows."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from attrs import define, field
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.export.kinds import Kind
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.export.target import encodable, taken
from tallyfy_async.fleet.destinations.base import FORMAT, Begun, FleetPlan, report_of
from tallyfy_async.fleet.units import ListState, UnitMark

Connection = psycopg.Connection[tuple[Any, ...]]

_TABLES = (
    """CREATE TABLE IF NOT EXISTS export_run (one bool PRIMARY KEY DEFAULT true CHECK (one), format int NOT NULL,
       run text NOT NULL, owner text NOT NULL, identity text NOT NULL, started timestamptz NOT NULL,
       complete bool NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS export_lists (organization text, kind text, status text NOT NULL DEFAULT 'reading',
       round int NOT NULL DEFAULT 0, rows bigint NOT NULL DEFAULT 0, written bigint NOT NULL DEFAULT 0,
       removed bigint NOT NULL DEFAULT 0, unsettled bool NOT NULL DEFAULT false, message text NOT NULL DEFAULT '',
       PRIMARY KEY (organization, kind))""",
    """CREATE TABLE IF NOT EXISTS export_units (organization text, kind text, first int, mark text NOT NULL,
       written bigint NOT NULL, PRIMARY KEY (organization, kind, first))""",
    """CREATE TABLE IF NOT EXISTS export_seen (organization text, kind text, id text,
       PRIMARY KEY (organization, kind, id))""",
    "CREATE TABLE IF NOT EXISTS export_done (organization text PRIMARY KEY, report text NOT NULL)",
)
_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
"""Libpq's own words; without them a connection whose other end vanished is waited for by the hour."""


def _of_list(statement: LiteralString) -> LiteralString:
    return statement + " WHERE organization = %s AND kind = %s"


def check_address(address: str) -> None:
    """Raise ConfigurationError for an address that holds a secret or is none."""
    try:
        parts = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        parts = None  # raised below, because its words repeat the address
    if parts is None:
        msg = "the address must look like postgresql://user@host/database or host=… dbname=…"
        raise ConfigurationError(msg)
    for name in _SECRETS:
        if parts.get(name) is not None:
            msg = (
                f"the address must hold no {name}: everyone reads it; a password comes from PGPASSWORD, also of workers"
            )
            raise ConfigurationError(msg)


def connect(address: str, schema: str) -> Connection:
    """Return a connection whose tables are those of the schema, and whose transactions wait for each other."""
    whole = make_conninfo("", **{"application_name": "tallyfy-async", **_ALIVE, **conninfo_to_dict(address)})
    connection: Connection = psycopg.connect(whole, autocommit=True)
    connection.execute(
        "SELECT set_config('search_path', %s, false),"
        " set_config('default_transaction_isolation', 'read committed', false)",  # roles may have another default
        [f'"{schema}"'],
    )
    return connection


def clean(text: str) -> str:
    """Return a text as PostgreSQL can hold it, which knows no NUL; the JSON has it as it came."""
    return encodable(text.replace("\0", "\ufffd"))


@define(eq=False)
class PostgresLedger:
    """Knows how far an export into PostgreSQL is."""

    _address: str
    _schema: str
    _plan: FleetPlan | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)

    def begin(self, plan: FleetPlan) -> Begun:
        """Make or open the schema; raise ConfigurationError for one that holds something else, psycopg.Error."""
        self._plan = plan
        self._connection = connection = connect(self._address, self._schema)
        with connection.transaction():
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtext('tallyfy-async export'), hashtext(%s))", [self._schema]
            )
            self._make(connection, plan)
            before = connection.execute(  # waits for units under way
                "SELECT format, run, identity, started, complete FROM export_run FOR UPDATE"
            ).fetchone()
            self._check(before)
            resumed = before is not None and plan.resume and not before[4] and before[2] == plan.identity
            run = before[1] if before is not None and resumed else plan.owner
            started: datetime = before[3] if before is not None and resumed else plan.started
            if not resumed:
                connection.execute("TRUNCATE export_lists, export_units, export_seen, export_done")
            connection.execute(
                "INSERT INTO export_run (format, run, owner, identity, started, complete)"
                " VALUES (%s, %s, %s, %s, %s, false) ON CONFLICT (one) DO UPDATE SET run = excluded.run,"
                " owner = excluded.owner, identity = excluded.identity, started = excluded.started, complete = false",
                [FORMAT, run, plan.owner, plan.identity, started],
            )
            done = connection.execute("SELECT organization, report FROM export_done").fetchall()
        reports = {organization: report_of(json.loads(report)) for organization, report in done}
        return Begun(run=run, started=started.astimezone(plan.started.tzinfo), resumed=resumed, done=reports)

    def _make(self, connection: Connection, plan: FleetPlan) -> None:
        if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [self._schema]).fetchone() is None:
            # It may be there where this user may make none: even IF NOT EXISTS asks for that.
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self._schema)))
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [self._schema]).fetchall()
        if names and ("export_run",) not in names:
            msg = f"the schema {self._schema} holds tables of something else: name another one"
            raise ConfigurationError(msg)
        for statement in [*(sql.SQL(table).format() for table in _TABLES), *map(_table, plan.kinds)]:
            connection.execute(statement)

    def _check(self, before: tuple[Any, ...] | None) -> None:
        if before is not None and before[0] != FORMAT:
            msg = f"the schema {self._schema} was written in format {before[0]}, this package writes {FORMAT}"
            raise ConfigurationError(msg)

    def open(self, organization: str) -> Mapping[str, ListState]:
        """Return how far each kind of an organization is."""
        names = [kind.name for kind in self._known().kinds]
        with self._claimed() as connection:
            connection.execute(
                "INSERT INTO export_lists (organization, kind) SELECT %s, unnest(%s::text[])"
                " ON CONFLICT (organization, kind) DO UPDATE SET status = 'reading', message = ''"
                " WHERE export_lists.status = 'refused'",
                [organization, names],
            )
            lists = connection.execute(
                "SELECT kind, status, round FROM export_lists WHERE organization = %s AND kind = ANY(%s)",
                [organization, names],
            ).fetchall()
            units = connection.execute(
                "SELECT kind, first, mark FROM export_units WHERE organization = %s ORDER BY first", [organization]
            ).fetchall()
        marks: dict[str, dict[int, UnitMark]] = {}
        for kind, first, mark in units:
            marks.setdefault(kind, {})[first] = UnitMark.of(json.loads(mark))
        return {
            kind: ListState(status=status, round=number, marks=marks.get(kind, {})) for kind, status, number in lists
        }

    def start_round(self, organization: str, kind: Kind, number: int) -> None:
        """Forget the units of the round before; those still under way find that they are late."""
        one = [organization, kind.name]
        with self._claimed() as connection:
            connection.execute(_of_list("UPDATE export_lists SET round = %s"), [number, *one])
            connection.execute(
                _of_list(
                    "UPDATE export_lists SET written = written + (SELECT coalesce(sum(units.written), 0)"
                    " FROM export_units AS units WHERE units.organization = %s AND units.kind = %s)"
                ),
                [*one, *one],
            )
            connection.execute(_of_list("DELETE FROM export_units"), one)
            connection.execute(_of_list("DELETE FROM export_seen"), one)

    def count(self, organization: str, kind: Kind) -> int:
        """Return how many different rows came in the round under way."""
        with self._claimed() as connection:
            return _number(connection, _of_list("SELECT count(*) FROM export_seen"), [organization, kind.name])

    def finish(self, organization: str, kind: Kind, *, settled: bool) -> KindReport:
        """Close a list in one transaction."""
        one, table = [organization, kind.name], sql.Identifier(kind.name)
        with self._claimed() as connection:
            connection.execute(_of_list("UPDATE export_lists SET message = ''"), one)  # waits for units under way
            removed = 0
            if settled and self._known().since is None:
                gone = sql.SQL(
                    "DELETE FROM {} AS old WHERE organization = %s AND NOT EXISTS (SELECT 1 FROM export_seen AS seen"
                    " WHERE seen.organization = %s AND seen.kind = %s AND seen.id = old.id)"
                )
                removed = connection.execute(gone.format(table), [organization, *one]).rowcount
            there = sql.SQL("SELECT count(*) FROM {} WHERE organization = %s")
            rows = _number(connection, there.format(table), [organization])
            written = _number(connection, _of_list("SELECT coalesce(sum(written), 0) FROM export_units"), one)
            written += _number(connection, _of_list("SELECT written FROM export_lists"), one)
            connection.execute(
                _of_list(
                    "UPDATE export_lists SET status = 'done', rows = %s, written = %s, removed = %s, unsettled = %s"
                ),
                [rows, written, removed, not settled, *one],
            )
            connection.execute(_of_list("DELETE FROM export_units"), one)
            connection.execute(_of_list("DELETE FROM export_seen"), one)
        return KindReport(rows=rows, written=written, removed=removed, unsettled=not settled)

    def refuse(self, organization: str, kind: Kind, why: str) -> None:
        """Note that the server does not give a kind."""
        with self._claimed() as connection:
            connection.execute(
                _of_list("UPDATE export_lists SET status = 'refused', message = %s"),
                [clean(why), organization, kind.name],
            )

    def report(self, organization: str) -> tuple[Mapping[str, KindReport], Mapping[str, str]]:
        """Return what became of the kinds of an organization."""
        names = [kind.name for kind in self._known().kinds]
        with self._claimed() as connection:
            found = connection.execute(
                "SELECT kind, status, rows, written, removed, unsettled, message FROM export_lists"
                " WHERE organization = %s AND kind = ANY(%s) ORDER BY array_position(%s, kind)",
                [organization, names, names],
            ).fetchall()
        done: dict[str, KindReport] = {}
        refused: dict[str, str] = {}
        for kind, status, rows, written, removed, unsettled, message in found:
            if status == "refused":
                refused[kind] = message
            else:
                done[kind] = KindReport(rows=rows, written=written, removed=removed, unsettled=unsettled)
        return done, refused

    def end(self, report: ExportReport) -> None:
        """Note that all kinds of an organization are done."""
        with self._claimed() as connection:
            connection.execute(
                "INSERT INTO export_done VALUES (%s, %s)"
                " ON CONFLICT (organization) DO UPDATE SET report = excluded.report",
                [report.organization, json.dumps(report.to_dict())],
            )

    def leave(self, organization: str) -> None:
        """Do nothing: nothing is held for one organization."""

    def complete(self) -> None:
        """Note that all organizations are done."""
        with self._claimed() as connection:
            connection.execute("UPDATE export_run SET complete = true")

    def close(self) -> None:
        """Close the connection; what was not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _known(self) -> FleetPlan:
        if self._plan is None:
            msg = "the schema is not open"
            raise ConfigurationError(msg)
        return self._plan

    def _open_connection(self) -> Connection:
        if self._connection is None:
            msg = "the schema is not open"
            raise ConfigurationError(msg)
        return self._connection

    @contextmanager
    def _claimed(self) -> Generator[Connection, None, None]:
        """Give the connection, in a transaction that keeps other exports out until it ends.

        Raises ExportError where one has taken over before.
        """
        connection = self._open_connection()
        with connection.transaction():
            found = connection.execute("SELECT owner FROM export_run FOR NO KEY UPDATE").fetchone()
            if found is None or found[0] != self._known().owner:
                raise taken(f"the schema {self._schema}")
            yield connection


def _number(connection: Connection, query: Any, values: list[str]) -> int:
    found = connection.execute(query, values).fetchone()
    return int(found[0]) if found is not None else 0


def _table(kind: Kind) -> sql.Composed:
    columns = [sql.SQL("{} text").format(sql.Identifier(name)) for name in kind.columns]
    return sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} (organization text, id text, {}, json json NOT NULL,"
        " PRIMARY KEY (organization, id))"
    ).format(sql.Identifier(kind.name), sql.SQL(", ").join(columns))
