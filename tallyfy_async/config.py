"""The settings of a client, checked before anything is sent."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast
from urllib.parse import quote

from attrs import Attribute, field, frozen

from tallyfy_async import __version__
from tallyfy_async.auth.oauth_client import AUTHORIZE_URL, Grant, OAuthClient
from tallyfy_async.auth.personal import StaticToken
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.engine.arguments import check_number
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.origin import checked_base, checked_url, is_insecure, origin_of
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.telemetry import Hooks, LoggingHooks, configure_logging
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.exchange import Timeouts
from tallyfy_async.transport.limiter import RateLimit
from tallyfy_async.transport.pace import Pace

if TYPE_CHECKING:
    import ssl

    import httpx

BASE_URL = "https://go.tallyfy.com/api"


def user_agent(product: str | None) -> str:
    """Return the User-Agent header, the embedding product's own name first."""
    own = f"tallyfy-async/{__version__} Python/{'.'.join(map(str, sys.version_info[:3]))}"
    return f"{product} {own}" if product else own


def _to_grant(auth: Grant | str | Secret) -> Grant:
    if isinstance(auth, str | Secret):
        return StaticToken(auth)
    if isinstance(auth, type) or not callable(getattr(auth, "identity", None)):
        msg = "auth must be a personal access token (str) or a grant such as PasswordGrant(…) or ClientCredentials(…)"
        raise ConfigurationError(msg)
    return auth


def _to_grants(organizations: Any) -> Mapping[str, Grant]:
    if not isinstance(organizations, Mapping):
        msg = "organizations must be a mapping of organization ids to a credential each"
        raise ConfigurationError(msg)
    given = cast("Mapping[str, Grant | str | Secret]", organizations)
    return {organization: _to_grant(auth) for organization, auth in given.items()}


def _to_timeouts(value: float | Timeouts) -> Timeouts:
    return value if isinstance(value, Timeouts) else Timeouts(attempt=value)


def _to_policy(value: RetryPolicy | int) -> RetryPolicy:
    return RetryPolicy.of(value)


def _to_deadline(value: float | None) -> float:
    return math.inf if value is None else value


def _be(what: str, test: Callable[[Any], bool], *, optional: bool = True) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, type) or not (test(value) or (optional and value is None)):
            msg = f"{attribute.name} must be {what}"
            raise ConfigurationError(msg)

    return check


def _are_hooks(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(hook, Hooks) for hook in cast("list[Any]", value))


_ID = _be("the organization's id as text", lambda value: isinstance(value, str))
_STORE = _be("a token store such as MemoryStore()", lambda value: hasattr(value, "load"))
_RATE = _be("a RateLimit such as RateLimit(per_minute=600)", lambda value: isinstance(value, RateLimit))
_PACE = _be("a limiter such as RedisLimiter(url)", lambda value: hasattr(value, "acquire"))
_HEADERS = _be("a mapping of names to texts", lambda value: isinstance(value, Mapping), optional=False)
_HOOKS = _be("a list of instances of Hooks", _are_hooks, optional=False)
_PROXY = _be("a URL such as http://proxy.example:3128", lambda value: isinstance(value, str))
_TLS = _be("an ssl.SSLContext", lambda value: hasattr(value, "verify_mode"))
_CLIENT = _be("an httpx.AsyncClient", lambda value: hasattr(value, "is_closed"))
_TRANSPORT = _be("an httpx.AsyncBaseTransport", lambda value: hasattr(value, "handle_async_request"))
_CLOCK = _be("a clock such as SystemClock()", lambda value: hasattr(value, "monotonic"), optional=False)


def _positive(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) not in {int, float} or not value > 0:
        msg = f"{attribute.name} must be a number of more than 0"
        raise ConfigurationError(msg)


def _whole(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_number(attribute.name, value)


def _plain_text(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value.isascii() and value.isprintable()):
        msg = f"{attribute.name} must be a line of printable ASCII"
        raise ConfigurationError(msg)


class DerivedSettings(TypedDict, total=False):
    """Settings that a derived client may have of its own; see TallyfyClient."""

    base_url: str
    token_url: str | None
    refresh_url: str | None
    authorize_url: str
    organization: str | None
    organizations: Mapping[str, Grant | str]
    token_store: TokenStore | None
    timeout: float | Timeouts
    deadline: float | None
    retry: RetryPolicy | int
    headers: Mapping[str, str]
    hooks: Sequence[Hooks]
    user_agent: str | None
    check_scopes: bool
    allow_unverified: bool
    allow_insecure_http: bool


class ClientSettings(DerivedSettings, total=False):
    """All settings of a client but its ``auth``; see TallyfyClient."""

    rate_limit: RateLimit | None
    limiter: Pace | None
    max_connections: int
    proxy: str | None
    ssl_context: ssl.SSLContext | None
    trust_env: bool
    http_client: httpx.AsyncClient | None
    transport: httpx.AsyncBaseTransport | None
    clock: Clock


@frozen
class URLs:
    """Where a client's requests go, every default resolved."""

    base: str
    token: str
    refresh: str
    authorize: str


@frozen(kw_only=True)
class ClientConfig:
    """Everything that a client is told; see TallyfyClient for what each setting means.

    Raises ConfigurationError for settings that cannot work.
    """

    auth: Grant = field(converter=_to_grant)
    base_url: str = BASE_URL
    token_url: str | None = None
    refresh_url: str | None = None
    authorize_url: str = AUTHORIZE_URL
    organization: str | None = field(default=None, validator=_ID)
    organizations: Mapping[str, Grant] = field(factory=dict[str, Grant], converter=_to_grants)
    token_store: TokenStore | None = field(default=None, validator=_STORE)
    timeout: Timeouts = field(default=Timeouts(), converter=_to_timeouts)
    deadline: float = field(default=120.0, converter=_to_deadline, validator=_positive)
    retry: RetryPolicy = field(default=RetryPolicy(), converter=_to_policy)
    rate_limit: RateLimit | None = field(default=None, validator=_RATE)
    limiter: Pace | None = field(default=None, validator=_PACE)
    max_connections: int = field(default=20, validator=_whole)
    headers: Mapping[str, str] = field(factory=dict[str, str], validator=_HEADERS)
    hooks: Sequence[Hooks] = field(default=(), validator=_HOOKS)
    user_agent: str | None = field(default=None, validator=_plain_text)
    proxy: str | None = field(default=None, repr=False, validator=_PROXY)
    ssl_context: ssl.SSLContext | None = field(default=None, validator=_TLS)
    trust_env: bool = False
    http_client: httpx.AsyncClient | None = field(default=None, validator=_CLIENT)
    transport: httpx.AsyncBaseTransport | None = field(default=None, validator=_TRANSPORT)
    clock: Clock = field(factory=SystemClock, validator=_CLOCK)
    check_scopes: bool = True
    allow_unverified: bool = False
    allow_insecure_http: bool = False
    urls: URLs = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Kept beside what was given, so that a derived configuration resolves its own.
        object.__setattr__(self, "urls", self._resolved())
        if any(is_insecure(url) for url in self._token_places):
            warnings.warn("tokens travel in the clear over plain http", UserWarning, stacklevel=4)
        RequestOptions(headers=self.headers)
        for organization, grant in self.organizations.items():
            if grant.tenant not in {None, organization}:
                msg = f"organizations: the credential for {organization} is one for {grant.tenant}"
                raise ConfigurationError(msg)
        if self.http_client is not None and (self.transport or self.proxy or self.ssl_context):
            msg = "http_client brings its own transport, proxy and TLS: give either it or those"
            raise ConfigurationError(msg)
        if self.limiter is not None and (self.rate_limit is not None or self.limiter.slots > self.max_connections):
            msg = "limiter brings its own rate, so give no rate_limit, and max_connections of at least its slots"
            raise ConfigurationError(msg)
        if self.transport is not None and (self.proxy or self.ssl_context):
            msg = "transport brings its own proxy and TLS: give either it or those"
            raise ConfigurationError(msg)

    def _resolved(self) -> URLs:
        def checked(name: str, url: str) -> str:
            return checked_url(name, url, allow_insecure_http=self.allow_insecure_http)

        base = checked_base("base_url", self.base_url, allow_insecure_http=self.allow_insecure_http)
        token = checked("token_url", self.token_url if self.token_url is not None else f"{base}/oauth/token")
        refresh = checked("refresh_url", self.refresh_url if self.refresh_url is not None else token)
        for grant in (self.auth, *self.organizations.values()):
            for url in grant.endpoints:
                checked(f"{type(grant).__name__}.url", url)
        return URLs(base, token, refresh, checked("authorize_url", self.authorize_url))

    @property
    def _token_places(self) -> tuple[str, ...]:
        own = (url for grant in (self.auth, *self.organizations.values()) for url in grant.endpoints)
        return self.urls.base, self.urls.token, self.urls.refresh, *own

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins that may see tokens."""
        return tuple(sorted({origin_of(url) for url in self._token_places}))

    @property
    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every API call, the token apart (seed 002)."""
        return (
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip, deflate"),
            ("X-Tallyfy-Client", "APIClient"),
            ("User-Agent", user_agent(self.user_agent)),
            *self.headers.items(),
        )

    @property
    def application(self) -> OAuthClient:
        """The registered application behind ``auth``; raise ConfigurationError where there is none."""
        found = self.auth.oauth_client
        if found is None:
            msg = f"a {self.auth.name} credential names no application: use AuthorizationRequest with its client_id"
            raise ConfigurationError(msg)
        return found

    def tied_to(self, organization: str | None) -> str | None:
        """Return the organization that the tokens of calls to ``organization`` are meant for, None where unknown."""
        if organization is not None and organization in self.organizations:
            return organization
        return self.auth.tenant or self.organization

    def token_key(self, grant: Grant | None = None, organization: str = "") -> str:
        """Return the name of a line of tokens in a store: endpoint, client, grant, user, organization and scope.

        ``organization`` is the one that the grant was given for, where the grant itself does not know. Two lines never
        share a name, because the parts are percent-encoded.
        """
        client, kind, user, own, scope = (self.auth if grant is None else grant).identity()
        return "|".join(
            quote(part, safe=":/@*") for part in (self.urls.token, client, kind, user, own or organization, scope)
        )


def environment() -> dict[str, Any]:
    """Return the settings that the environment gives, as arguments of ClientConfig.

    Reads TALLYFY_ACCESS_TOKEN, or TALLYFY_CLIENT_ID and _CLIENT_SECRET with or without _USERNAME and _PASSWORD; further
    TALLYFY_BASE_URL, _TOKEN_URL and _ORGANIZATION. Raises ConfigurationError where no credentials are there.
    """
    names = {"base_url": "TALLYFY_BASE_URL", "token_url": "TALLYFY_TOKEN_URL", "organization": "TALLYFY_ORGANIZATION"}
    found = {name: value for name, variable in names.items() if (value := os.environ.get(variable))}
    return {"auth": _environment_auth(), **found}


def logging_as_told(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn logging on as TALLYFY_LOG says; return the settings, at ``debug`` with hooks that log every attempt.

    Raises ConfigurationError where the variable is neither ``debug`` nor ``info``.
    """
    level = os.environ.get("TALLYFY_LOG", "").lower()
    if not level:
        return settings
    if level not in {"debug", "info"}:
        msg = "TALLYFY_LOG must be debug or info"
        raise ConfigurationError(msg)
    configure_logging(level)
    hooks = settings.get("hooks", ())
    if level == "info" or not _are_hooks(hooks):  # what is no list of hooks, the config refuses
        return settings
    return {**settings, "hooks": [*hooks, LoggingHooks()]}


def _environment_auth() -> Grant:
    read = os.environ.get
    if token := read("TALLYFY_ACCESS_TOKEN"):
        return StaticToken(token)
    from tallyfy_async.auth.grants import ClientCredentials, PasswordGrant  # noqa: PLC0415 - lazy: as few as are used

    client_id, secret = read("TALLYFY_CLIENT_ID"), read("TALLYFY_CLIENT_SECRET")
    if not client_id or not secret:
        msg = "set TALLYFY_ACCESS_TOKEN, or TALLYFY_CLIENT_ID and TALLYFY_CLIENT_SECRET"
        raise ConfigurationError(msg)
    username, password = read("TALLYFY_USERNAME"), read("TALLYFY_PASSWORD")
    if username and password:
        return PasswordGrant(client_id=client_id, client_secret=secret, username=username, password=password)
    if username or password:
        msg = "TALLYFY_USERNAME and TALLYFY_PASSWORD go together"
        raise ConfigurationError(msg)
    return ClientCredentials(client_id=client_id, client_secret=secret)
