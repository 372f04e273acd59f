"""The client: lifecycle and wiring."""

from __future__ import annotations

import os
import re
from functools import cached_property, partial
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack
from urllib.parse import unquote
from weakref import WeakSet

from attrs import evolve

from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.stores.memory import MemoryStore
from tallyfy_async.config import ClientConfig, ClientSettings, DerivedSettings, environment, logging_as_told
from tallyfy_async.credentials import TOKEN_CONNECTIONS, Credentials
from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.plan import Call, RequestOptions, Response
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.organization import Organization
from tallyfy_async.transport.exchange import DeferredTransport, Transport
from tallyfy_async.transport.limiter import Limiter
from tallyfy_async.transport.shelter import LoopGuard, run_in_child

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tallyfy_async.auth.authorize import AuthorizationRequest
    from tallyfy_async.auth.oauth_client import Grant, SecretSource
    from tallyfy_async.auth.stores.sealing import Keys
    from tallyfy_async.resources.accounts import Accounts
    from tallyfy_async.resources.applications import Applications
    from tallyfy_async.resources.me import Me, MyOrganizations
    from tallyfy_async.resources.public_checklists import PublicChecklists
    from tallyfy_async.resources.utils import Utils
    from tallyfy_async.transport.pace import Pace
    from tallyfy_async.transport.upload import FileInput

_SHARED = ClientSettings.__annotations__.keys() - DerivedSettings.__annotations__.keys()
_TOKEN_SETTINGS = frozenset({"auth", "base_url", "token_url", "refresh_url", "token_store", "hooks", "organizations"})
# Attribute -> module and class of what belongs to no organization; imported when first used.
_NAMESPACES = {
    "accounts": ("accounts", "Accounts"),
    "me": ("me", "Me"),
    "organizations": ("me", "MyOrganizations"),
    "public_checklists": ("public_checklists", "PublicChecklists"),
    "utils": ("utils", "Utils"),
}
_TENANT = re.compile(r"/organizations/([^/]+)")


class TallyfyClient:
    """A client of the Tallyfy REST API, for one event loop.

    Use it as ``async with TallyfyClient(auth) as tallyfy:``, or call :meth:`aclose` at the end.

    Args:
        auth: a grant (PasswordGrant, ClientCredentials, RefreshToken, StaticToken), or a personal access token as text.
        base_url: where the API lives, ``https://go.tallyfy.com/api`` if not given.
        token_url: the token endpoint, ``base_url + "/oauth/token"`` if not given.
        refresh_url: where refresh tokens are traded in, ``token_url`` if not given.
        authorize_url: where users log in with a browser.
        organization: id that :meth:`organization` uses when it is called without one.
        organizations: organization id -> credential for its calls, where ``auth`` cannot be used for it: a token is
            tied to one organization (seed 002).
        token_store: where tokens are kept, in memory if not given.
        timeout: seconds for one attempt, body included; Timeouts for more detail.
        deadline: seconds for a whole call with its retries; None for no limit.
        retry: a RetryPolicy, or a number of retries.
        rate_limit: a cap on the rate of calls.
        limiter: what paces the calls instead, such as a RedisLimiter that many processes share; it stays yours to
            close.
        max_connections: exchanges at once; further calls wait for their turn.
        headers: headers to add to every call.
        hooks: who hears of attempts, tokens and failures.
        user_agent: name of your product, put before the package's own.
        proxy: URL of a proxy.
        ssl_context: a TLS context; it should verify.
        trust_env: take proxies from the environment.
        http_client: an ``httpx.AsyncClient`` to use; it stays yours to close. Where its connections are httpx's own,
            new ones are made by this package, so that they survive cancellation.
        transport: an httpx transport to use instead of the own one; it is closed with the client.
        clock: time and chance, for tests.
        check_scopes: refuse a write that the token's scopes do not allow before it is sent (seed 000).
        allow_unverified: call operations whose existence is only inferred without a warning.
        allow_insecure_http: permit plain http to hosts other than loopback.

    Attributes:
        accounts: registration, activation and passwords.
        me: the authenticated user.
        organizations: the organizations that the authenticated user belongs to.
        public_checklists: templates that anybody may read.
        utils: configuration, countries and other small services.

    Raises ConfigurationError for settings that cannot work.

    """

    accounts: Accounts
    me: Me
    organizations: MyOrganizations
    public_checklists: PublicChecklists
    utils: Utils

    def __init__(self, auth: Grant | str, **settings: Unpack[ClientSettings]) -> None:
        _check_names(settings)
        self._config = ClientConfig(auth=auth, **settings)
        config = self._config
        self._owner = True
        self._guard = LoopGuard()
        self._limiter: Pace = config.limiter or Limiter(config.max_connections, config.clock, config.rate_limit)
        self._managers: WeakSet[TokenManager] = WeakSet()
        self._store = MemoryStore() if config.token_store is None else config.token_store
        self._transport = DeferredTransport(partial(_open_transport, config))
        if config.proxy or config.ssl_context or config.http_client or config.transport:
            self._transport.opened()  # what is wrong with them is told here
        self._credentials = self._open_credentials()
        self._engine = self._build_engine()

    @classmethod
    def from_env(cls, **settings: Unpack[ClientSettings]) -> Self:
        """Return a client made from the environment; ``settings`` win over it.

        Reads TALLYFY_ACCESS_TOKEN, or TALLYFY_CLIENT_ID and _CLIENT_SECRET with or without _USERNAME and _PASSWORD;
        TALLYFY_BASE_URL, _TOKEN_URL, _ORGANIZATION; TALLYFY_LOG=info logs retries and warnings, debug all attempts too.
        Raises ConfigurationError.
        """
        return cls(**logging_as_told({**environment(), **settings}))

    @classmethod
    def from_login(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        client_secret: SecretSource | None = None,
        keys: Keys | None = None,
        **settings: Unpack[ClientSettings],
    ) -> Self:
        """Return a client of the user who logged in with ``python -m tallyfy_async login``; ``settings`` win over it.

        ``directory`` is where the login was kept (TALLYFY_DIRECTORY, else the user's state directory). The secret of a
        confidential client comes from TALLYFY_CLIENT_SECRET if not given, and the ``keys`` of the file store from
        TALLYFY_TOKEN_KEYS. Raises ConfigurationError where there is no login, StoreError and its kinds.
        """
        from tallyfy_async.auth.profile import login_settings  # noqa: PLC0415 - lazy: only for logins that are kept

        given: dict[str, Any] = {**login_settings(directory, client_secret=client_secret, keys=keys), **settings}
        return cls(**given)

    def __repr__(self) -> str:
        state = "closed" if self._guard.closed else "open"
        return f"<TallyfyClient {self._config.urls.base} {state}, {self._limiter!r}, {self.tokens!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        msg = "a client is not pickled: it holds connections and tokens; make one where you need it"
        raise TypeError(msg)

    async def __aenter__(self) -> Self:
        self._guard.check()
        self._transport.opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client: token renewals that are under way end and are stored, then the connections are closed.

        Closing twice does nothing; closing a client made by :meth:`with_options` does nothing either.
        """
        if self._owner and not self._guard.closed:
            self._guard.closed = True
            await run_in_child(self._close, shield=True)

    async def _close(self) -> None:
        for manager in tuple(self._managers):
            await manager.aclose()
        await self._transport.aclose()

    def with_options(self, *, auth: Grant | str | None = None, **settings: Unpack[DerivedSettings]) -> TallyfyClient:
        """Return a client with other settings, also another ``auth``, that shares connections, limiter and pace.

        It never owns them: closing it does nothing. Raises ConfigurationError for settings that belong to what is
        shared, and for unknown ones.
        """
        _check_names(settings, derived=True)
        changes: dict[str, Any] = {**settings} if auth is None else {"auth": auth, **settings}
        derived = object.__new__(TallyfyClient)
        derived._config = evolve(self._config, **changes)
        derived._adopt(self, fresh_tokens=bool(_TOKEN_SETTINGS & changes.keys()))
        return derived

    def _adopt(self, source: TallyfyClient, *, fresh_tokens: bool) -> None:
        self._owner = False
        self._guard, self._limiter, self._managers = source._guard, source._limiter, source._managers
        self._store = source._store if self._config.token_store is None else self._config.token_store
        self._transport = source._transport.to_origins(self._config.origins)
        self._credentials = self._open_credentials() if fresh_tokens else source._credentials
        self._engine = self._build_engine()

    def organization(self, organization_id: str | None = None) -> Organization:
        """Return one tenant's resources; without an id, those of the client's own ``organization``.

        Its calls carry the tokens of the credential that ``organizations`` names for it, else those of ``auth``. Raises
        ConfigurationError where that one is known to be for another organization.
        """
        chosen = organization_id if organization_id is not None else self._config.organization
        if not isinstance(chosen, str) or not chosen.strip():
            msg = "name the organization: client.organization(id), or TallyfyClient(…, organization=id)"
            raise ConfigurationError(msg)
        return Organization(self._engine_for(chosen), chosen)

    @property
    def tokens(self) -> TokenManager:
        """The token manager of ``auth``; those of ``organizations`` are had by :meth:`tokens_of`."""
        return self._credentials.main

    def tokens_of(self, organization_id: str) -> TokenManager:
        """Return the token manager whose tokens go to one organization; raise what :meth:`organization` raises."""
        return self._credentials.of(organization_id)

    def authorization_request(
        self, redirect_uri: str, *, flow: Literal["code", "implicit"] = "code", scope: str | None = "*"
    ) -> AuthorizationRequest:
        """Return a request that lets a user log in with a browser, for the application whose client this is.

        ``redirect_uri`` is registered for it. The address of the login page is the setting ``authorize_url``. Raises
        ConfigurationError where ``auth`` names no application, as a personal token does.
        """
        from tallyfy_async.auth.authorize import AuthorizationRequest  # noqa: PLC0415 - lazy: only for browser logins

        application = self._config.application
        given: dict[str, Any] = {
            "client_id": application.client_id,
            "redirect_uri": redirect_uri,
            "scope": scope,
            "authorize_url": self._config.urls.authorize,
            "now": self._config.clock.time(),
        }
        if flow == "implicit":
            return AuthorizationRequest.implicit(**given)
        return AuthorizationRequest.code(**given, client_secret=application.client_secret)

    @cached_property
    def applications(self) -> Applications:
        """What an application does with its own token."""
        from tallyfy_async.resources.applications import Applications  # noqa: PLC0415 - lazy: few programs provision

        return Applications(evolve(self._engine, tokens=self._credentials.application))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in _NAMESPACES or "_engine" not in self.__dict__:
                msg = f"{type(self).__name__!r} object has no attribute {name!r}"
                raise AttributeError(msg)
            module, kind = _NAMESPACES[name]
            resource = getattr(import_module(f"tallyfy_async.resources.{module}"), kind)(self._engine)
            self.__dict__[name] = resource
            return resource

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_NAMESPACES})

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: Mapping[str, FileInput] | None = None,
        options: RequestOptions | None = None,
    ) -> Response:
        """Send a request that no method covers, through the same pipeline: token, retries, pace and errors.

        ``path`` is relative to ``base_url``; GET and HEAD count as safe to send again, everything else as a write.
        With ``files``, part name -> source, a form is sent, and ``json`` holds its other fields.
        Raises EndpointRenamedError or EndpointRemovedError for the paths that seed 000 lists, ConfigurationError for a
        path that is no path, and what every call raises.
        """
        from tallyfy_async.resources.raw import raw_operation  # noqa: PLC0415 - lazy, as above

        operation = raw_operation(method, path)
        tenant = _TENANT.match(operation.path)
        engine = self._engine if tenant is None else self._engine_for(unquote(tenant[1]))
        content = None
        if files is not None:
            from tallyfy_async.transport.upload import form_of  # noqa: PLC0415 - lazy: few programs upload

            content, json = await form_of(files, json), None
        return await engine.call(Call.plan(operation, query=params, payload=json, content=content, options=options))

    def _engine_for(self, organization: str) -> Engine:
        tokens, tied_to = self._credentials.of(organization), self._config.tied_to(organization)
        if tokens is self._engine.tokens and tied_to == self._engine.tied_to:
            return self._engine
        return evolve(self._engine, tokens=tokens, tied_to=tied_to)

    def _build_engine(self) -> Engine:
        config = self._config
        return Engine(
            transport=self._transport,
            limiter=self._limiter,
            tokens=self._credentials.main,
            tied_to=config.tied_to(None),
            check_scopes=config.check_scopes,
            clock=config.clock,
            guard=self._guard,
            base_url=config.urls.base,
            headers=config.request_headers,
            timeouts=config.timeout,
            deadline=config.deadline,
            retry=config.retry,
            hooks=config.hooks,
            unverified=None if config.allow_unverified else set(),
        )

    def _open_credentials(self) -> Credentials:
        return Credentials(self._config, self._store, self._transport, self._guard, self._managers)


def _open_transport(config: ClientConfig) -> Transport:
    from tallyfy_async.transport.hold import keep_hold  # noqa: PLC0415 - lazy, see DeferredTransport
    from tallyfy_async.transport.http import HTTPTransport, build_client  # noqa: PLC0415 - as above

    client = config.http_client or build_client(
        connections=config.max_connections + TOKEN_CONNECTIONS,
        proxy=config.proxy,
        ssl_context=config.ssl_context,
        trust_env=config.trust_env,
        transport=config.transport,
    )
    owned = config.http_client is None
    if not owned:
        keep_hold(client)
    return HTTPTransport(client=client, clock=config.clock, origins=config.origins, owned=owned)


def _check_names(settings: Mapping[str, Any], *, derived: bool = False) -> None:
    if derived and (shared := sorted(_SHARED & settings.keys())):
        msg = f"{', '.join(shared)} belong to the shared connections: make a client of its own for them"
        raise ConfigurationError(msg)
    for name in settings.keys() - ClientSettings.__annotations__.keys():
        from difflib import get_close_matches  # noqa: PLC0415 - lazy: only for the message

        near = get_close_matches(name, ClientSettings.__annotations__, 1)
        msg = f"a client has no setting {name!r}{f': did you mean {near[0]!r}?' if near else ''}"
        raise ConfigurationError(msg)
