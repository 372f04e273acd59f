"""The ASGI application: route, authenticate, inject faults, count."""

import itertools
import re

import anyio
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from . import authorization, contract, control, explorer, oauth
from .backend import Backend
from .exchange import Incoming, Reply, json_reply, read
from .faults import Fault
from .problems import Invalid, Problem, endpoint_not_found, forbidden, too_large, unauthenticated
from .records import is_object
from .router import Call, Operation
from .routes import build
from .stats import Received
from .storage import StorageError
from .tokens import AccessToken
from .webhooks import Delivery, due

_BEARER = re.compile(r"Bearer (\S+)\Z")
_WINDOW = 60.0
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_FOUND_PAGE = b"<!DOCTYPE html><html><head><title>Not Found</title></head><body>404 | Not Found</body></html>"


class Application:
    """Answer HTTP over ASGI, on asyncio and trio, with or without lifespan."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._router = build(authorization.forms)
        self._names = {operation.name for operation in self._router.operations}
        # Web pages of any origin may call the API with a token that they hold, but not the sandbox's own routes.
        self._api = CORSMiddleware(
            self._answer_whole,
            allow_origins=("*",),
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-Request-Id"),
        )
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"the sandbox speaks HTTP only, not {scope['type']}")
        own = scope["path"].startswith(f"/{control.PREFIX}")
        await (self._answer_whole if own else self._api)(scope, receive, send)

    async def _answer_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = await read(scope, receive, self._backend.settings.max_body)
        if incoming is None:
            return
        page = explorer.answer(incoming, self._names)
        if page is not None:
            await page.send(send)
            return
        if incoming.segments[:1] == (control.PREFIX,):
            await control.answer(self._backend, incoming).send(send)
            return
        try:
            with self._backend.stats.in_flight():
                reply = await self._serve(incoming)
            await reply.send(send)
        finally:
            incoming.answered()

    async def _serve(self, incoming: Incoming) -> Reply:
        backend = self._backend
        operation: Operation | None = None
        params: dict[str, str] = {}
        missing: Problem | None = None
        try:
            operation, params = self._router.resolve(incoming.method, incoming.segments)
        except Problem as problem:
            missing = problem
        name = operation.name if operation else None
        backend.webhooks.log(backend.world)
        self._record(incoming, name)
        fault = backend.faults.pick(incoming.method, incoming.below_base, name, incoming.link({}))
        before = len(backend.world.vault.access)
        reply = await self._with_fault(incoming, operation, params, missing, fault)
        self._count(incoming, name, reply, granted=len(backend.world.vault.access) > before)
        backend.stats.answered(name, reply.status)
        if backend.settings.latency and operation is not None and operation.context != "none":
            await anyio.sleep(backend.settings.latency)
        return reply.adding({"X-Request-Id": f"sandbox-{next(self._numbers):08d}"})

    async def _with_fault(
        self,
        incoming: Incoming,
        operation: Operation | None,
        params: dict[str, str],
        missing: Problem | None,
        fault: Fault | None,
    ) -> Reply:
        if fault is None:
            return self._answer(incoming, operation, params, missing)
        if fault.delay:
            await anyio.sleep(fault.delay)
        token = self._token(incoming)
        if fault.revoke and token is not None:
            token.revoked = True
            self._backend.keep()
        if fault.answers and fault.stage == "before":
            reply = fault.reply()
        else:
            real = self._answer(incoming, operation, params, missing)
            reply = fault.reply() if fault.answers else fault.patched(real)
        if fault.delay_after:
            incoming.answered()  # an answer that a fault holds up holds up no webhook
            await anyio.sleep(fault.delay_after)
        return reply

    def _answer(
        self, incoming: Incoming, operation: Operation | None, params: dict[str, str], missing: Problem | None
    ) -> Reply:
        """Run the operation; what it raises becomes a reply."""
        limit: dict[str, str] = {}
        told: list[Delivery] = []
        try:
            if incoming.oversize:
                raise too_large()
            if operation is None:
                raise missing or endpoint_not_found()
            token = None if operation.context == "none" else self._authenticate(incoming)
            limit = self._throttle(incoming, token)
            if token is not None:
                self._authorize(operation, params, token)
            call = self._call(incoming, operation, params, token)
            contract.check_body(operation.name, call.body())
            reply = operation.handler(call)
            told = self._told(call)
        except Problem as problem:
            reply = _problem_reply(incoming, problem)
        except Invalid as invalid:
            reply = self._invalid_reply(invalid)
        if operation is not None:
            reply = self._kept(incoming, params.get("org"), reply)
        if told and reply.status < 400:
            incoming.afterwards.append(self._backend.webhooks.queue(told))
        return reply.adding(limit)

    def _told(self, call: Call) -> list[Delivery]:
        """Render the webhooks that a call made due, as things are now."""
        tenant = self._backend.world.tenants.get(call.params.get("org", ""))
        if tenant is None or not tenant.events:
            return []
        events = [*tenant.events]
        tenant.events.clear()
        return [] if call.settings.webhooks == "off" else list(due(call.lens, events))

    def _kept(self, incoming: Incoming, organization: str | None, reply: Reply) -> Reply:
        """Save what the operation did, also where it was refused halfway; no reply before that."""
        try:
            self._backend.keep(organization, reading=incoming.method in _SAFE)
        except StorageError as error:
            return json_reply({"error": True, "message": f"Nothing was saved: {error}"}, 500)
        return reply

    def _call(
        self, incoming: Incoming, operation: Operation, params: dict[str, str], token: AccessToken | None
    ) -> Call:
        world = self._backend.world
        if "org" in params:
            world.tenant(params["org"]).events.clear()
        return Call(
            incoming=incoming,
            operation=operation,
            params=params,
            world=world,
            settings=self._backend.settings,
            bearer=token,
            now=world.now(),
        )

    def _token(self, incoming: Incoming) -> AccessToken | None:
        match = _BEARER.match(incoming.headers.get("authorization", ""))
        return self._backend.world.vault.access.get(match[1]) if match else None

    def _authenticate(self, incoming: Incoming) -> AccessToken:
        """Demand the client header and a living token, written with exactly one space (seed 002)."""
        if not incoming.headers.get("x-tallyfy-client"):
            raise endpoint_not_found() if self._backend.settings.missing_client_header == "404" else unauthenticated()
        token = self._token(incoming)
        if token is None or not token.alive(self._backend.world.clock()):
            raise unauthenticated()
        return token

    def _authorize(self, operation: Operation, params: dict[str, str], token: AccessToken) -> None:
        """Demand the right kind of token, the organization it is tied to, and the scope of the capability."""
        world, organization = self._backend.world, params.get("org")
        if operation.context == "user" and token.user_id is None:
            raise unauthenticated()
        if organization is not None:
            tenant = world.tenant(organization)
            if operation.context == "application" and (token.kind, token.organization) != ("application", organization):
                raise forbidden("You don't have application's permissions for this organization!")
            if token.organization != organization:
                raise forbidden("You don't have permission to access this organization!")
            member = tenant.members.get(token.user_id or 0)
            if token.user_id is not None and (member is None or member.status != "active"):
                raise unauthenticated()
        if self._backend.settings.enforce_scopes and not operation.allowed_to(token):
            raise forbidden("Invalid scope(s) provided.")
        token.uses += 1

    def _throttle(self, incoming: Incoming, token: AccessToken | None) -> dict[str, str]:
        """Count the call against the burst limit of its user, or of its address when nobody is signed in."""
        most = self._backend.settings.rate_limit_per_minute
        if most is None:
            return {}
        now = self._backend.world.clock()
        recent = self._backend.recent[f"user {token.user_id}" if token else incoming.client]
        while recent and recent[0] <= now - _WINDOW:
            recent.popleft()
        if len(recent) >= most:
            wait = max(1, int(recent[0] + _WINDOW - now + 0.999))
            body = {"message": "Too Many Attempts."}
            if self._backend.settings.rate_limit_code:
                body["code"] = "RATE_LIMIT_EXCEEDED"
            raise Problem(429, body, {"Retry-After": str(wait), "X-RateLimit-Remaining": "0"})
        recent.append(now)
        return {"X-RateLimit-Limit": str(most), "X-RateLimit-Remaining": str(most - len(recent))}

    def _invalid_reply(self, invalid: Invalid) -> Reply:
        if self._backend.settings.validation_style == "laravel":
            return json_reply({"message": "The given data was invalid.", "errors": invalid.errors}, 422)
        return json_reply({"error": True, "errors": invalid.errors}, 422)

    def _record(self, incoming: Incoming, name: str | None) -> None:
        if name in {"create_token", "refresh_token"}:
            self._record_presented(oauth.presented(incoming, self._backend.settings))
        if self._backend.settings.record:
            self._backend.stats.received.append(
                Received(
                    method=incoming.method,
                    path=incoming.path,
                    query=incoming.query,
                    headers=incoming.headers,
                    body=incoming.body,
                    operation=name,
                )
            )

    def _record_presented(self, presented: oauth.Presented) -> None:
        stats = self._backend.stats
        if presented.refresh_token:
            known = self._backend.world.vault.refresh.get(presented.refresh_token)
            stats.presented[presented.refresh_token] += 1
            stats.reuses += known is not None and known.spent
        if presented.code:
            stats.codes[presented.code] += 1

    def _count(self, incoming: Incoming, name: str | None, reply: Reply, *, granted: bool) -> None:
        """Count what came of a visit or a token request. An answer that a fault put in its place counts as it is."""
        stats = self._backend.stats
        if name in {"authorize", "submit_authorization"}:
            stats.authorization(reply.outcome or str(reply.status))
        elif name == "create_application_user_token":
            stats.user_token_request(_outcome(reply, granted=granted))
        elif name in {"create_token", "refresh_token"}:
            grant = oauth.presented(incoming, self._backend.settings).grant
            stats.token_request(grant, _outcome(reply, granted=granted))


def _outcome(reply: Reply, *, granted: bool) -> str:
    data = reply.json()
    code = data.get("error") if is_object(data) else None
    ok = reply.status == 200 and granted
    return "ok" if ok else code if isinstance(code, str) else str(reply.status)


def _problem_reply(incoming: Incoming, problem: Problem) -> Reply:
    """Answer with JSON; a 404 is a page of HTML for clients that do not ask for JSON."""
    if problem.status == 404 and "json" not in incoming.headers.get("accept", ""):
        return Reply(status=404, body=_NOT_FOUND_PAGE, content_type="text/html; charset=UTF-8")
    return json_reply(problem.body, problem.status, problem.headers)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
