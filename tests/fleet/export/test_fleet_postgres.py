"""What PostgreSQL makes hard: connections that break, transactions that meet, rights, addresses."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql

from tallyfy_async import ConfigurationError, fleet
from tallyfy_async.fleet.destinations import postgres_writer
from tallyfy_async.fleet.destinations.postgres_ledger import connect
from tests.fleet.export.by_hand import ByHand
from tests.fleet.export.place import Place

pytestmark = pytest.mark.once


def asked(place: Place, query: str) -> list[Any]:
    """Return the first column of what a query gives."""
    with connect(place.to.address, place.to.schema) as connection:
        return [found for (found, *_) in connection.execute(query)]  # type: ignore[arg-type]


def begun(place: Place, address: str = "") -> ByHand:
    export = ByHand(fleet.PostgreSQL(place.to.address + address, schema=place.to.schema)).begin()
    export.round()
    return export


def until_waiting(place: Place, most: int, *works: Future[Any]) -> None:
    """Wait until so many transactions of the schema's users wait for others, or the works are over."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(500):
        if asked(place, query) == [most] or (works and all(work.done() for work in works)):
            return
        time.sleep(0.01)
    raise AssertionError(asked(place, "SELECT query FROM pg_stat_activity"))


# Connections.


@pytest.mark.parametrize("step", ["_upsert", "_note", "after"])
def test_a_connection_lost_before_the_commit_leaves_nothing(
    schema: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    export = begun(schema)
    name = "_note" if step == "after" else step
    real: Callable[..., Any] = getattr(postgres_writer, name)

    def cut(connection: psycopg.Connection[Any], *more: Any) -> Any:
        found = real(connection, *more) if step == "after" else None
        with connect(schema.to.address, schema.to.schema) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        return real(connection, *more) if found is None else found

    with monkeypatch.context() as patched:
        patched.setattr(postgres_writer, name, cut)
        with pytest.raises(psycopg.OperationalError):
            export.put(1, ["a", "b"], end=True)
    assert not schema.world("o").get("tasks")
    assert asked(schema, "SELECT count(*) FROM export_units") == [0]
    assert export.count() == 0
    export.put(1, ["a", "b"], end=True)
    report = export.finish()
    assert (report.rows, report.written) == (2, 2)
    export.close()


def test_a_ledger_whose_connection_was_lost_is_gone_on_with(schema: Place) -> None:
    export = begun(schema)
    export.put(1, ["a"], end=True)
    others = "FROM pg_stat_activity WHERE state = 'idle' AND pid <> pg_backend_pid() AND application_name <> ''"
    assert asked(schema, f"SELECT pg_terminate_backend(pid) {others}")
    with pytest.raises(psycopg.OperationalError):
        export.finish()
    export.close()
    again = ByHand(schema.to).begin()
    assert again.begun.resumed
    assert again.count() == 1
    assert again.finish().rows == 1
    again.close()


def test_a_silent_server_is_given_up_unless_the_address_says_otherwise(schema: Place) -> None:
    with connect(schema.to.address, "x") as connection:
        found = connection.info.get_parameters()
    assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("30", "60000")
    with connect(schema.to.address + "?keepalives_idle=7&application_name=nightly", "x") as connection:
        found = connection.info.get_parameters()
    assert (found["keepalives_idle"], found["application_name"]) == ("7", "nightly")


# Transactions.


@pytest.mark.parametrize("default", ["", "?options=-c%20default_transaction_isolation%3Dserializable"])
def test_units_with_the_same_rows_wait_for_each_other(schema: Place, default: str) -> None:
    """They come in another order, and both see the table before either has written to it; no role's default harms."""
    export = begun(schema, default)
    ids = [f"id{number}" for number in range(50)]
    with ThreadPoolExecutor() as threads:
        with psycopg.connect(schema.to.address) as gate:
            gate.execute(f"SELECT FROM {schema.to.schema}.export_lists FOR UPDATE")  # type: ignore[arg-type]
            works = [
                threads.submit(export.put, 1, ids),
                threads.submit(export.put, 2, ids[::-1], end=True),
                threads.submit(export.put, 2, ids[::-1], end=True),
            ]
            until_waiting(schema, 3, *works)
        for work in works:
            work.result(20)
    assert export.count() == 50
    report = export.finish()
    assert (report.rows, report.written) == (50, 50)
    export.close()


def test_another_export_waits_for_a_unit_that_is_being_written(schema: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a unit of the old one could be taken for one of the new one, whose first round has the same number."""
    old, new = begun(schema), ByHand(schema.to, resume=False)
    real = postgres_writer.connect
    takes_over: list[Future[Any]] = []

    class Slow:
        """A connection that another export comes between: after the export was looked at, and before the round is."""

        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

        def __enter__(self) -> Self:
            self.connection.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self.connection.__exit__(*error)

        def execute(self, query: Any, *more: Any) -> Any:
            if "FROM export_lists" in str(query):
                takes_over.append(threads.submit(new.begin))
                until_waiting(schema, 1, *takes_over)
            return self.connection.execute(query, *more)

    with ThreadPoolExecutor() as threads:
        with monkeypatch.context() as patched:
            patched.setattr(postgres_writer, "connect", lambda *where: Slow(real(*where)))
            old.put(1, ["stale"], end=True)
        takes_over[0].result(20)
    assert new.states["tasks"].marks == {}
    assert new.count() == 0
    old.close()
    new.close()


# Rights and names.


def test_a_schema_that_somebody_else_made_will_do(schema: Place, postgres: str) -> None:
    """Even CREATE SCHEMA IF NOT EXISTS asks for the right to make one."""
    name = sql.Identifier(schema.to.schema)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(name, name))
    place = Place(
        to=fleet.PostgreSQL(postgres.replace("tester@", f"{schema.to.schema}@"), schema=schema.to.schema),
        name="postgres",
    )
    ByHand(place.to).whole([["a"]])
    assert place.world("o")["tasks"].keys() == {"a"}


def test_a_schema_of_another_format_is_refused_and_stays(schema: Place) -> None:
    ByHand(schema.to).whole([["a"]])
    with psycopg.connect(schema.to.address) as connection:
        connection.execute(f"UPDATE {schema.to.schema}.export_run SET format = 99")  # type: ignore[arg-type]
    other = ByHand(schema.to)
    with pytest.raises(ConfigurationError, match="format 99"):
        other.begin()
    other.close()
    assert schema.world("o")["tasks"].keys() == {"a"}


@pytest.mark.parametrize("name", ["Select", "a" * 63, "größe"])
def test_a_schema_may_have_any_name(postgres: str, name: str) -> None:
    place = Place(to=fleet.PostgreSQL(postgres, schema=name), name="postgres")
    ByHand(place.to).whole([["a"]])
    assert place.world("o")["tasks"].keys() == {"a"}


@pytest.mark.parametrize("schema_name", ["", "a" * 64, "ö" * 32, 'a"b', "a b", "a;b", "a\0"])
def test_what_is_no_name_is_refused(schema_name: str) -> None:
    with pytest.raises(ConfigurationError, match="schema must be"):
        fleet.PostgreSQL("postgresql://host/db", schema=schema_name)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://ada:hush@host/db", "no password"),
        ("postgresql://ada@host/db?password=hush", "no password"),
        ("host=x password=hush", "no password"),
        ("host=x sslpassword=hush", "no sslpassword"),
        ("postgresql://host/db?sslpassword=hush", "no sslpassword"),
        ("host=x password='hush", "must look like"),
        ("postgresql://ada:hush@host:port:/db?x", "must look like"),
        ("???", "must look like"),
    ],
)
def test_no_secret_is_in_an_address_nor_in_what_is_said_of_it(address: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        fleet.PostgreSQL(address)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hush" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_missing_psycopg_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallyfy_async.fleet.destinations.postgres.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install .tallyfy-async\[postgres\]"):
        fleet.PostgreSQL("postgresql://host/db")
