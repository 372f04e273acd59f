"""Which tokens go with which calls: one line of tokens for each credential, and the requests that bring them."""

from __future__ import annotations

from weakref import WeakSet

from attrs import define, evolve, field

from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.oauth_client import REFRESH_TOKEN, Grant, TokenRequest
from tallyfy_async.auth.reply import MAX_REPLY_BYTES
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.config import ClientConfig, URLs, user_agent
from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.plan import Call, RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.response import Reply
from tallyfy_async.transport.exchange import Timeouts, Transport
from tallyfy_async.transport.limiter import Limiter
from tallyfy_async.transport.shelter import LoopGuard

TOKEN_CONNECTIONS = 2
"""Token requests never wait behind calls, which may be waiting for a token."""


@define(eq=False)
class Credentials:
    """The token managers of one client, made when they are first needed.

    Attributes:
        config: the client's settings.
        store: where tokens are kept.
        transport: performs token requests.
        guard: knows the client's event loop.
        managers: every manager of the client and of those derived from it, to be closed with it.

    """

    config: ClientConfig
    store: TokenStore
    transport: Transport
    guard: LoopGuard
    managers: WeakSet[TokenManager]
    _lines: dict[str, TokenManager] = field(factory=dict[str, TokenManager], init=False)
    _engine: Engine | None = field(default=None, init=False)

    @property
    def main(self) -> TokenManager:
        """The manager of the client's own ``auth``."""
        return self._manager(self.config.auth)

    def of(self, organization: str) -> TokenManager:
        """Return the manager whose tokens go to one organization.

        Raises ConfigurationError where the only credential is known to be for another organization.
        """
        grant = self.config.organizations.get(organization, self.config.auth)
        if (theirs := grant.tenant) is not None and theirs != organization:
            msg = (
                f"the {grant.name} credential is for organization {theirs} and cannot act in {organization}: give that "
                f"one a credential of its own, TallyfyClient(…, organizations={{{organization!r}: …}})"
            )
            raise ConfigurationError(msg)
        return self._manager(grant, organization if organization in self.config.organizations else "")

    @property
    def application(self) -> TokenManager:
        """The manager of the application's tokens where a member's token is got by one, else the client's own."""
        application = self.config.auth.oauth_client
        return self.main if application is None else self._manager(application)

    def _manager(self, grant: Grant, organization: str = "") -> TokenManager:
        key = self.config.token_key(grant, organization)
        if (known := self._lines.get(key)) is not None:
            return known
        config = self.config
        manager = TokenManager.create(
            grant, self._exchange, self.store, key, config.clock, hooks=config.hooks, guard=self.guard
        )
        self._lines[key] = manager
        self.managers.add(manager)
        return manager

    async def _exchange(self, request: TokenRequest, deadline: float) -> Reply:
        """Send a token request: the pipeline of calls, with slots of its own and at most an application's token."""
        if self._engine is None:
            self._engine = self._build_engine()
        engine = self._engine
        if request.application is not None:
            engine = evolve(engine, tokens=self._manager(request.application))
        call = Call(
            operation=request.operation,
            url=_address(self.config.urls, request),
            headers=request.headers,
            content=request.content,
            content_type=request.content_type,
            max_bytes=MAX_REPLY_BYTES,
            options=RequestOptions(deadline=max(deadline, 0.001)),
        )
        return (await engine.call(call)).reply

    def _build_engine(self) -> Engine:
        config = self.config
        return Engine(
            transport=self.transport,
            limiter=Limiter(TOKEN_CONNECTIONS, config.clock),
            tokens=None,
            clock=config.clock,
            guard=self.guard,
            base_url="",
            headers=(("Accept", "application/json"), ("User-Agent", user_agent(config.user_agent))),
            timeouts=Timeouts(connect=config.timeout.connect),
            deadline=config.deadline,
            retry=config.retry,
            hooks=config.hooks,
        )


def _address(urls: URLs, request: TokenRequest) -> str:
    if request.url is not None:
        return urls.base + request.url if request.url.startswith("/") else request.url
    return urls.refresh if request.operation is REFRESH_TOKEN else urls.token
