"""How a worker gets at the API: addresses and names, no secret.

What is secret it finds sealed in the token store, and in its own environment.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qs, urlsplit

from attrs import evolve, field, frozen

from tallyfy_async.auth.grants import ClientCredentials, PasswordGrant
from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.oauth_client import Grant, OAuthClient
from tallyfy_async.auth.personal import StaticToken
from tallyfy_async.auth.profile import SECRET_VARIABLE
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.redis import RedisStore
from tallyfy_async.client import TallyfyClient
from tallyfy_async.engine.arguments import check_number
from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.fleet.limiter import PER_USER, RedisLimiter
from tallyfy_async.organization import Organization
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.exchange import Timeouts
from tallyfy_async.transport.limiter import RateLimit

STORE_VARIABLE = "TALLYFY_TOKEN_STORE"
"""In a worker's environment: the whole address of the token store, where it needs a password."""
LIMITER_VARIABLE = "TALLYFY_LIMITER"
"""The same for the server of the limiter."""
PASSWORD_VARIABLE = "TALLYFY_PASSWORD"  # noqa: S105 - its name, not the password
TOKEN_VARIABLE = "TALLYFY_ACCESS_TOKEN"  # noqa: S105 - its name, not the token

_PREFIX = "tallyfy_async"
_REDIS = re.compile(r"(redis|rediss|unix)://")
_KINDS = {"password", "client_credentials", "login", "refresh_token", "authorization_code"}


def _found(name: str, owner: str) -> str | None:
    """Return what the environment holds for one owner, ``TALLYFY_PASSWORD_ada_example_com``, else for all."""
    return os.environ.get(f"{name}_{re.sub(r'[^A-Za-z0-9]', '_', owner)}") or os.environ.get(name) or None


def _needed(name: str, owner: str) -> str:
    if (value := _found(name, owner)) is None:
        msg = f"set {name} in the environment of the workers"
        raise ConfigurationError(msg)
    return value


@frozen(kw_only=True)
class _Carried(OAuthClient):
    """A line of tokens that another process began: the worker goes on with it, under the same name in the store."""

    name: ClassVar[str] = "login"
    may_be_public: ClassVar[bool] = True

    line: tuple[str, ...]

    def identity(self) -> tuple[str, ...]:
        """Return what the grant that began it returns."""
        return self.line


@frozen(kw_only=True)
class Line:
    """A credential without its secrets.

    Attributes:
        grant: the name of its kind.
        identity: what tells its tokens from others.
        client_id: the registered client, None for a personal token.
        confidential: whether that one has a secret.
        scope: the scopes asked for.
        encoding: body of its token requests.
        client_auth: where id and secret travel.
        replays: whether a refresh token may be sent again.
        organization: the organization that it was given for, empty for the client's own ``auth``.

    """

    grant: str
    identity: tuple[str, ...]
    client_id: str | None = None
    confidential: bool = False
    scope: str | None = None
    encoding: Literal["form", "json"] = "form"
    client_auth: Literal["body", "headers"] = "body"
    replays: bool = False
    organization: str = ""

    @classmethod
    def of(cls, grant: Grant, organization: str = "") -> Self:
        """Return a grant without its secrets; raise ConfigurationError for one that workers cannot carry."""
        if isinstance(grant, StaticToken):
            return cls(grant=grant.name, identity=grant.identity(), organization=organization)
        if not isinstance(grant, OAuthClient) or grant.name not in _KINDS:
            msg = f"workers cannot log in with a {grant.name} credential: give a password grant, a login or a token"
            raise ConfigurationError(msg)
        return cls(
            grant=grant.name,
            identity=grant.identity(),
            client_id=grant.client_id,
            confidential=grant.client_secret is not None,
            scope=grant.scope,
            encoding=grant.encoding,
            client_auth=grant.client_auth,
            replays=grant.replay_refresh,
            organization=organization,
        )

    def _secret(self) -> Secret:
        return Secret(_needed(SECRET_VARIABLE, self.client_id or ""))

    def to_grant(self) -> Grant:
        """Return the grant for a worker, with what its environment adds; raise ConfigurationError where that lacks."""
        if self.client_id is None:
            grant = StaticToken(_needed(TOKEN_VARIABLE, self.organization))
            if grant.identity() != self.identity:
                msg = f"{TOKEN_VARIABLE} in the environment of the workers is another token than the client's"
                raise ConfigurationError(msg)
            return grant
        shared: dict[str, Any] = {
            "client_id": self.client_id,
            "client_secret": self._secret if self.confidential else None,
            "scope": self.scope,
            "encoding": self.encoding,
            "client_auth": self.client_auth,
            "replay_refresh": self.replays,
        }
        if self.grant == ClientCredentials.name:
            return ClientCredentials(**shared)
        user = self.identity[2]
        if self.grant == PasswordGrant.name and (password := _found(PASSWORD_VARIABLE, user)) is not None:
            return PasswordGrant(**shared, username=user, password=password)
        return _Carried(**shared, line=self.identity)


def _without_password(address: Any) -> str | None:
    """Return the address of a Redis server; raise ConfigurationError where it is none or holds a password."""
    if address is None:
        return None
    if not isinstance(address, str) or not _REDIS.match(address):
        msg = "the address of a Redis server must look like redis://host:6379/0"  # not repeated: it may hold a password
        raise ConfigurationError(msg)
    parts = urlsplit(address)
    if parts.password is not None or "password" in parse_qs(parts.query):
        msg = (
            f"the address of a server must hold no password: set {STORE_VARIABLE} (of the token store) or "
            f"{LIMITER_VARIABLE} (of the limiter) in the environment of the workers to the whole address"
        )
        raise ConfigurationError(msg)
    return address


def _to_store(value: str | os.PathLike[str] | None) -> str | None:
    """Return an address or a directory as text; raise ConfigurationError for an address that holds a password."""
    if value is None or (isinstance(value, str) and "://" in value):
        return _without_password(value)
    return str(Path(value).expanduser().absolute())


@frozen(kw_only=True)
class Access:
    """How workers get at the API, without a secret: it is sent to them with every unit.

    A worker takes tokens from the token store, which it opens with the key in its own environment variable
    TALLYFY_TOKEN_KEYS, and shares their renewals with everybody who uses that store. To renew the tokens of a client
    that has a secret, it needs TALLYFY_CLIENT_SECRET (or TALLYFY_CLIENT_SECRET_42 for the client 42 alone); with
    TALLYFY_PASSWORD (or TALLYFY_PASSWORD_ada_example_com for one user alone) it can begin a dead line of the password
    grant anew. A personal token is its TALLYFY_ACCESS_TOKEN (or that name, ``_`` and the organization's id). The
    client's own headers, hooks, proxy and TLS context are not carried. Made by :meth:`of`.

    Attributes:
        base_url: where the API lives.
        token_url: the token endpoint.
        refresh_url: where refresh tokens are traded in.
        line: the client's own credential.
        lines: organization id -> credential, where that differs.
        store: address of a Redis server, or a directory of a FileStore that the workers share; None for none.
        prefix: begins the names of a Redis server's keys.
        timeout: one attempt, see TallyfyClient.
        deadline: seconds of a call with its retries.
        retry: the retry policy.
        max_connections: exchanges at once of one worker.
        rate_limit: a cap on the rate of calls of one worker.
        limiter: address of the server of a RedisLimiter, which paces all workers together; None for none.
        per_user: the limiter's cap of each user, None for its own.
        per_organization: the limiter's cap of each organization.
        processes: how many workers a limiter reckons with until its server has told.
        user_agent: name of your product.
        check_scopes: refuse a write that the token's scopes do not allow before it is sent.
        allow_unverified: call operations whose existence is only inferred without a warning.
        allow_insecure_http: permit plain http to hosts other than loopback.

    Raises ConfigurationError for what does not go together, and for addresses with a password.

    """

    base_url: str
    token_url: str
    refresh_url: str
    line: Line
    lines: Mapping[str, Line] = field(factory=dict[str, Line])
    store: str | None = field(default=None, converter=_to_store)
    prefix: str = _PREFIX
    timeout: Timeouts = field(factory=Timeouts)
    deadline: float = 120.0
    retry: RetryPolicy = field(factory=RetryPolicy)
    max_connections: int = 20
    rate_limit: RateLimit | None = None
    limiter: str | None = field(default=None, converter=_without_password)
    per_user: RateLimit | None = None
    per_organization: RateLimit | None = None
    processes: int = 1
    user_agent: str | None = None
    check_scopes: bool = True
    allow_unverified: bool = False
    allow_insecure_http: bool = False

    def __attrs_post_init__(self) -> None:
        if self.limiter is not None and self.rate_limit is not None:
            msg = "a limiter brings its own rate: give per_user and per_organization, and no rate_limit"
            raise ConfigurationError(msg)
        check_number("processes", self.processes)
        if self.limiter is None and (self.per_user is not None or self.per_organization is not None):
            msg = "per_user and per_organization are the caps of a limiter: give its address too"
            raise ConfigurationError(msg)

    @classmethod
    def of(
        cls,
        tallyfy: TallyfyClient,
        *,
        store: str | None = None,
        max_connections: int = 20,
        rate_limit: RateLimit | None = None,
        limiter: str | None = None,
        per_user: RateLimit | None = None,
        per_organization: RateLimit | None = None,
        processes: int = 1,
    ) -> Self:
        """Return how workers do what a client does.

        Args:
            tallyfy: the client. Its token store is a FileStore or a RedisStore; a personal token needs none.
            store: address of the RedisStore's server as the workers see it, without a password; the directory of a
                FileStore is known.
            max_connections: exchanges at once of one worker.
            rate_limit: a cap on the rate of calls of one worker.
            limiter: address of the server of a RedisLimiter that paces all workers together, without a password.
            per_user: the limiter's cap of each user.
            per_organization: the limiter's cap of each organization.
            processes: how many workers there are; each takes so large a part of the rate where it starts while the
                limiter's server is away.

        Raises ConfigurationError for a store or a credential that workers cannot share, and for wrong arguments.

        """
        config = tallyfy._config  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - its settings are what is carried
        own = config.token_store
        return cls(
            base_url=config.urls.base,
            token_url=config.urls.token,
            refresh_url=config.urls.refresh,
            line=Line.of(config.auth),
            lines={name: Line.of(grant, name) for name, grant in config.organizations.items()},
            store=_address(own, store, (config.auth, *config.organizations.values())),
            prefix=own._prefix if isinstance(own, RedisStore) else _PREFIX,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            timeout=config.timeout,
            deadline=config.deadline,
            retry=config.retry,
            max_connections=max_connections,
            rate_limit=rate_limit,
            limiter=limiter,
            per_user=per_user,
            per_organization=per_organization,
            processes=processes,
            user_agent=config.user_agent,
            check_scopes=config.check_scopes,
            allow_unverified=config.allow_unverified,
            allow_insecure_http=config.allow_insecure_http,
        )

    def line_of(self, organization: str) -> Line:
        """Return the credential for an organization."""
        return self.lines.get(organization, self.line)

    def packed(self) -> bytes:
        """Return what does not depend on the organization, pickled, so that only its user needs to load it.

        Raises ConfigurationError where that cannot be.
        """
        try:
            return pickle.dumps(evolve(self, lines={}))
        except Exception as error:  # noqa: BLE001 - whatever a tenacity object does when it is pickled
            msg = f"workers cannot be sent the retry policy: {type(error).__name__}"
            raise ConfigurationError(msg) from None

    async def prepare(self, organizations: Iterable[Organization]) -> None:
        """Log in where nobody did yet, so that the store holds a token of each line; raise what a call raises."""
        managers = {id(one): one for one in map(_tokens, organizations) if one is not None}
        for manager in managers.values():
            await manager.get()

    async def open(self, stack: AsyncExitStack) -> TallyfyClient:
        """Return a client for a worker, which the stack closes with all that it needs; raise ConfigurationError."""
        store = self._store()
        if isinstance(store, RedisStore):
            await stack.enter_async_context(store)
        pace: dict[str, Any] = {"rate_limit": self.rate_limit}
        if self.limiter is not None:
            pace = {"limiter": await stack.enter_async_context(self._limiter(self.limiter))}
        client = TallyfyClient(
            self.line.to_grant(),
            base_url=self.base_url,
            token_url=self.token_url,
            refresh_url=self.refresh_url,
            token_store=store,
            timeout=self.timeout,
            deadline=self.deadline,
            retry=self.retry,
            max_connections=self.max_connections,
            user_agent=self.user_agent,
            check_scopes=self.check_scopes,
            allow_unverified=self.allow_unverified,
            allow_insecure_http=self.allow_insecure_http,
            **pace,
        )
        return await stack.enter_async_context(client)

    def _limiter(self, address: str) -> RedisLimiter:
        return RedisLimiter(
            os.environ.get(LIMITER_VARIABLE) or address,
            per_user=PER_USER if self.per_user is None else self.per_user,
            per_organization=self.per_organization,
            slots=self.max_connections,
            processes=self.processes,
        )

    def _store(self) -> TokenStore | None:
        if self.store is None:
            return None
        address = os.environ.get(STORE_VARIABLE) or self.store
        return RedisStore(address, prefix=self.prefix) if _REDIS.match(address) else FileStore(address)


def _tokens(org: Organization) -> TokenManager | None:
    return org._pipeline.tokens  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - nothing public asks for a token only


def _address(store: TokenStore | None, given: str | None, grants: Iterable[Grant]) -> str | os.PathLike[str] | None:
    if isinstance(store, RedisStore) and given is not None:
        return _without_password(given)
    if isinstance(store, FileStore) and given is None:
        return store.path("").parent
    if store is None and given is None and all(isinstance(grant, StaticToken) for grant in grants):
        return None
    msg = (
        "workers share the token store of the client: give it a FileStore on one machine, whose directory is known, "
        'or a RedisStore, and its address here, Access.of(tallyfy, store="redis://host:6379/0")'
    )
    raise ConfigurationError(msg)
