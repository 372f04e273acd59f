"""What a process with a token is made of, and what its callers do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
from attrs import define, field

from tallyfy_async import (
    AuthorizationCode,
    ClientCredentials,
    PasswordGrant,
    RefreshToken,
    RetryPolicy,
    Token,
    TokenManager,
    TransportError,
)
from tallyfy_async.auth.oauth_client import Grant
from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.plan import Call, RequestOptions
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.protocol.response import Reply
from tallyfy_async.transport.exchange import Progress, Request, Timeouts, Transport
from tallyfy_async.transport.limiter import Limiter
from tallyfy_async.transport.shelter import LoopGuard
from tests.auth.invariants.authority import Authority, secret
from tests.auth.invariants.stores import Shared, View
from tests.auth.line import KEY

_CLIENT: dict[str, Any] = {"client_id": "42", "client_secret": secret("client")}
GRANTS: dict[str, Callable[[], Grant]] = {
    "password": lambda: PasswordGrant(**_CLIENT, username="ada@example.com", password=secret("password")),
    "client_credentials": lambda: ClientCredentials(**_CLIENT),
    "refresh_token": lambda: RefreshToken(**_CLIENT, refresh_token=secret("first")),
    "replay": lambda: RefreshToken(**_CLIENT, refresh_token=secret("first"), replay_refresh=True),
    "code": lambda: AuthorizationCode(
        **_CLIENT, code=secret("first"), redirect_uri="https://app.example/back", verifier=secret("verifier")
    ),
}
READ = Operation(id="read", method="GET", path="/read", scopes="none", call="read")
WRITE = Operation(id="write", method="POST", path="/write", scopes="none", call="write")


class Send(NamedTuple):
    """One request of a call: its token, the answer, and whether the token was good."""

    access: str
    status: int
    good: bool


@define(eq=False, repr=False)
class Api(Transport):
    """The API of one process: it asks the authority about the token, and keeps who sent what, by the call's number."""

    authority: Authority
    accidents: list[tuple[float, int | None]] = field(factory=list[tuple[float, int | None]])
    sends: dict[str, list[Send]] = field(factory=dict[str, "list[Send]"])

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        if progress is not None:
            progress.begun = True
        await anyio.lowlevel.checkpoint()
        seconds, status = self.accidents.pop(0) if self.accidents else (0.0, None)
        await self.authority.clock.sleep(seconds)
        reply = self._answer(dict(request.headers), status)
        if not reply.status:
            raise TransportError("the exchange broke: ReadError")
        return reply

    def _answer(self, headers: dict[str, str], status: int | None) -> Reply:
        access = headers["Authorization"].removeprefix("Bearer ")
        good = self.authority.accepts(access)
        if status is None:
            status = 200 if good else 401
        self.sends.setdefault(headers["X-Call"], []).append(Send(access, status, good))
        if status == 401:
            self.authority.refused.add(access)
        return Reply(status=status, content=json.dumps({"message": f"Authorization: Bearer {access}"}).encode())

    def to_origins(self, origins: tuple[str, ...]) -> Api:
        return self

    async def aclose(self) -> None:
        return


@define(eq=False, repr=False)
class Node:
    """One process: its manager, its view of the store, its engine."""

    tokens: TokenManager
    view: View
    api: Api
    engine: Engine
    generation: int = 0


@define(eq=False, repr=False)
class Op:
    """One caller's operation, and what came of it; ``floor`` is the generation that was known when it began."""

    node: Node
    kind: str
    deadline: float | None
    started: float
    number: int
    floor: int
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    task: Any = None
    ended: float | None = None
    result: Token | None = None
    error: Exception | None = None
    timed_out: bool = False
    cancelled: bool = False


def start_node(grant: Grant, authority: Authority, shared: Shared, *, pace: float, retries: int) -> Node:
    """Return a process that shares nothing with others but the store, each access to which takes ``pace`` seconds."""
    clock, guard = authority.clock, LoopGuard()
    view, api = View(shared, clock, pace), Api(authority)
    tokens = TokenManager.create(grant, authority, view, KEY, clock, guard=guard)
    engine = Engine(
        transport=api,
        limiter=Limiter(3, clock),
        tokens=tokens,
        clock=clock,
        guard=guard,
        base_url="https://api.example",
        timeouts=Timeouts(),
        deadline=60.0,
        retry=RetryPolicy.of(retries),
    )
    return Node(tokens, view, api, engine)


async def call(op: Op) -> None:
    """Make an API call through the engine of the process."""
    options = RequestOptions() if op.deadline is None else RequestOptions(deadline=op.deadline)
    operation = READ if op.kind == "read" else WRITE
    headers = (("X-Call", str(op.number)),)
    await op.node.engine.call(Call(operation=operation, url=operation.path, headers=headers, options=options))
