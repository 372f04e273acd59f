"""PostgreSQL: one table a kind for all organizations, which workers write to themselves."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from attrs import field, frozen

from tallyfy_async.errors import ConfigurationError

if TYPE_CHECKING:
    from tallyfy_async.fleet.destinations.base import Ledger, Writer

_LONGEST = 63
"""Bytes of a name; PostgreSQL cuts longer ones."""


@frozen
class PostgreSQL:
    """A schema of a PostgreSQL database: a table a kind, with organization, id, a few columns as text, and the JSON.

    Needs the extra ``postgres``. It must be a schema of its own, which is made where it is missing.

    Attributes:
        address: where the database is, ``postgresql://user@host/database`` or ``host=… dbname=…``, as every worker
            sees it and without a password or another secret: the password comes from PGPASSWORD or from libpq's
            password file.
        schema: name of the schema.

    A server that does not answer any more is given up after about a minute, unless the address says otherwise by
    ``keepalives_idle``, ``keepalives_interval``, ``keepalives_count`` and ``tcp_user_timeout``.

    Raises ConfigurationError for an address with a secret or that is none, and where psycopg is missing.

    """

    address: str
    schema: str = field(default="tallyfy", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if find_spec("psycopg") is None:
            msg = 'PostgreSQL needs psycopg: pip install "tallyfy-async[postgres]"'
            raise ConfigurationError(msg)
        from tallyfy_async.fleet.destinations.postgres_ledger import check_address  # noqa: PLC0415 - an extra

        check_address(self.address)
        if not self.schema.isidentifier() or len(self.schema.encode()) > _LONGEST:
            msg = f"schema must be a name of at most {_LONGEST} letters, digits and underscores, not {self.schema!r}"
            raise ConfigurationError(msg)

    def ledger(self) -> Ledger:
        """Return the ledger."""
        from tallyfy_async.fleet.destinations.postgres_ledger import PostgresLedger  # noqa: PLC0415 - an extra

        return PostgresLedger(self.address, self.schema)

    def writer(self) -> Writer:
        """Return a writer."""
        from tallyfy_async.fleet.destinations.postgres_writer import PostgresWriter  # noqa: PLC0415 - an extra

        return PostgresWriter(self.address, self.schema)
