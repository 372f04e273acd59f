"""The facade: one object that is a local Tallyfy."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterable
from os import PathLike
from typing import Any, Self

from attrs import evolve

from . import authorization, control
from .app import Application
from .backend import Backend
from .clients import Client
from .exchange import BASE
from .faults import Faults
from .proxy import Proxy, Rule, proxying
from .server import serving
from .settings import Credentials, Settings
from .stats import Stats
from .storage import StorageError
from .webhooks import Webhooks
from .world import World

__all__ = ["IN_PROCESS_URL", "Sandbox", "StorageError"]

IN_PROCESS_URL = f"http://sandbox.localhost/{BASE}"


class Sandbox:
    """A local Tallyfy with a seeded organization.

    `seed` decides rows, ids and credentials; `clock` returns seconds since 1970 and decides when tokens die.
    `app` works in-process through httpx.ASGITransport, on asyncio and trio; `serve()` puts it behind a real socket.

    `db` is a file that keeps the world across restarts: a missing one is made, an existing one brings its own rows,
    ids, tokens and credentials, and then `seed` and the sizes of the settings decide nothing. Every write over HTTP is
    on the disk before its reply leaves; what the program itself changes in `world` goes with the next write or with
    `close()`. Statistics, faults and settings are not kept. Raise StorageError for a file that is no such file,
    damaged, of another version, or in use.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        db: str | PathLike[str] | None = None,
    ) -> None:
        self._backend = Backend(settings or Settings(), seed, clock, db)
        self.app = Application(self._backend)
        self.url = IN_PROCESS_URL
        """Base URL of API calls: the in-process one, or the real one inside `serve()`."""
        self._address: tuple[str, int] | None = None

    def __repr__(self) -> str:
        """Show where it is, without secrets."""
        return f"Sandbox(url={self.url!r}, organization={self.credentials.organization!r})"

    @property
    def seed(self) -> int:
        """Return what the world was seeded with."""
        return self._backend.seed

    @property
    def restored(self) -> bool:
        """Tell whether the world came out of a file."""
        return self._backend.restored

    @property
    def served(self) -> bool:
        """Tell whether it answers on a real socket: inside `serve()`."""
        return self._address is not None

    @property
    def issuer(self) -> str:
        """Return what `iss` says in answers of the authorization page: its origin."""
        return self.url.removesuffix(f"/{BASE}")

    @property
    def authorize_url(self) -> str:
        """Return the address of the authorization page; it lies beside the API, not below it."""
        return self.issuer + authorization.PATH

    @property
    def settings(self) -> Settings:
        """Return the settings in force."""
        return self._backend.settings

    @property
    def credentials(self) -> Credentials:
        """Return what a client needs to log in."""
        return evolve(self._backend.credentials, authorize_url=self.authorize_url)

    @property
    def world(self) -> World:
        """Return the state machine."""
        return self._backend.world

    @property
    def faults(self) -> Faults:
        """Return the script of faults."""
        return self._backend.faults

    @property
    def stats(self) -> Stats:
        """Return the counters."""
        return self._backend.stats

    @property
    def token_lives(self) -> int:
        """Count the access tokens that applications asked for, those of single members included."""
        return self.world.vault.issued

    @property
    def lives_used(self) -> int:
        """Count the issued access tokens with which at least one API call was accepted."""
        return self.world.vault.lives_used

    @property
    def webhooks(self) -> Webhooks:
        """Return what is and was posted to webhooks; `await sandbox.webhooks.settled()` waits for all of it."""
        return self._backend.webhooks

    def configure(self, **changes: Any) -> None:
        """Change settings while the sandbox runs; the seeded rows stay as they are."""
        self._backend.settings = evolve(self._backend.settings, **changes)

    def add_client(
        self,
        *,
        redirect_uris: Iterable[str] = (),
        name: str = "Application",
        public: bool = False,
        organization: str | None = None,
    ) -> Client:
        """Register a further application, of the first organization unless told; a public one has no secret.

        Raise ValueError for a redirect URI that cannot be registered or an unknown organization.
        """
        home = organization or self.credentials.organization
        return self.world.add_client(organization=home, redirect_uris=redirect_uris, name=name, public=public)

    def truth(self, organization: str | None = None) -> dict[str, Any]:
        """Return the ids of every row: runs, tasks, archived_runs, archived_tasks, checklists, users."""
        return control.truth(self._backend, organization)

    def report(self) -> dict[str, Any]:
        """Return all counters as GET /_sandbox/stats prints them."""
        return control.stats(self._backend)

    def close(self) -> None:
        """Drop webhooks that have not gone out; write what is not written yet and release the file, if there is one.

        Not while it is served.
        """
        self.webhooks.end()
        storage = self._backend.storage
        if storage is not None and not storage.closed:
            self.webhooks.log(self.world)
            try:
                storage.save_all(self.world)
            finally:
                storage.close()

    @contextlib.contextmanager
    def serve(self, port: int = 0, host: str = "127.0.0.1") -> Generator[Self, None, None]:
        """Serve over HTTP from a daemon thread until the block ends; `url` is the real one meanwhile.

        Webhooks that have not gone out by then are dropped: wait for them inside the block.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(self.webhooks.end)
            address = stack.enter_context(serving(self.app, host, port))
            before = self.url, self._address
            self.url, self._address = f"http://{address[0]}:{address[1]}/{BASE}", address
            try:
                yield self
            finally:
                self.url, self._address = before

    @contextlib.contextmanager
    def proxy(self, *rules: Rule, port: int = 0, host: str = "127.0.0.1") -> Generator[Proxy, None, None]:
        """Put a fault-injecting TCP proxy in front of the running server; its `url` replaces the sandbox's own.

        Raise RuntimeError outside `serve()`.
        """
        if self._address is None:
            raise RuntimeError("proxy() needs a running server: use it inside `with sandbox.serve():`")
        with proxying(*self._address, *rules, listen=(host, port), seed=self.seed) as running:
            yield running
