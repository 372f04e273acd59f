"""A proxy that also changes what it passes on: the sandbox's, with answers of its own, patched replies and gates."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

import anyio
from anyio.abc import SocketStream
from anyio.from_thread import start_blocking_portal
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, field, frozen

from tallyfy_async.sandbox.proxy import Proxy, Rule
from tallyfy_async.sandbox.wire import Head, read_body, read_reply
from tests.oauth_server.authority import Authority

UNSET = object()
"""In a patch: take this field away."""
_OWN = {"content-length", "transfer-encoding", "content-type", "content-encoding"}


class Gate:
    """Holds requests or replies until it is opened; ``waiting`` tells how many it has held so far."""

    def __init__(self) -> None:
        self.waiting = 0
        self._open = threading.Event()

    def open(self) -> None:
        """Let everybody pass, now and later."""
        self._open.set()

    async def wait(self) -> None:
        """Wait until the gate is open."""
        self.waiting += 1
        while not self._open.is_set():  # noqa: ASYNC110 - it is opened in another thread
            await anyio.sleep(0.002)


@frozen(kw_only=True)
class Meddle(Rule):
    """A rule that also holds or changes messages; what it does not change passes as it is.

    Attributes:
        before_gate: between the request and the server.
        after_gate: between the server's reply and the client.
        forward: whether the server receives the request; without it, status or body must be given.
        status: put in the place of the server's.
        headers: added to the reply.
        body: put in the place of the server's; from a callable it comes in pieces, has no length, and ends with the
            connection.
        patch: fields that replace those of the server's JSON object.

    """

    before_gate: Gate | None = None
    after_gate: Gate | None = None
    forward: bool = True
    status: int | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str])
    body: Callable[[], Iterable[bytes]] | bytes | None = None
    patch: Mapping[str, Any] = field(factory=dict[str, Any])


@define
class _Armed:
    rule: Meddle
    matched: int = 0
    struck: int = 0


class Meddler(Proxy):
    """The proxy; rules that are a Meddle come before the others.

    Attributes:
        received: requests by method and path.
        given: bytes of made up bodies that were passed to the client.

    """

    def __init__(self, host: str, port: int, *rules: Rule) -> None:
        super().__init__(host, port)
        self._meddles: tuple[_Armed, ...] = ()
        self.received: Counter[str] = Counter()
        self.given = 0
        self.struck: int = 0
        self.add(*rules)

    def add(self, *rules: Rule) -> None:
        """Append rules."""
        for rule in rules:
            if isinstance(rule, Meddle):
                self._meddles = (*self._meddles, _Armed(rule))
            else:
                super().add(rule)

    def clear(self) -> None:
        """Forget every rule."""
        super().clear()
        self._meddles = ()

    async def _exchange(
        self,
        client: SocketStream,
        server: SocketStream,
        requests: BufferedByteReceiveStream,
        replies: BufferedByteReceiveStream,
        head: Head,
    ) -> bool:
        method, target = head.words[:2]
        self.received[f"{method} {target}"] += 1
        rule = self._meddle(method, target)
        if rule is None:
            return await super()._exchange(client, server, requests, replies, head)
        self.requests += 1
        self.struck += 1
        request = head.raw + await read_body(requests, head)
        if rule.before_gate is not None:
            await rule.before_gate.wait()
        reply = await _ask(server, replies, request, method) if rule.forward else (_blank(), b"")
        if rule.after_gate is not None:
            await rule.after_gate.wait()
        return reply is not None and await self._answer(client, rule, *reply)

    def _meddle(self, method: str, target: str) -> Meddle | None:
        for armed in self._meddles:
            if armed.rule.matches(method, target):
                armed.matched += 1
                spent = armed.rule.times is not None and armed.struck >= armed.rule.times
                if not spent and armed.matched > armed.rule.after:
                    armed.struck += 1
                    return armed.rule
        return None

    async def _answer(self, client: SocketStream, rule: Meddle, head: Head, content: bytes) -> bool:
        if rule.patch:
            content = _patched(content, rule.patch)
        if callable(rule.body):
            await client.send(_head(rule, head, {"Connection": "close"}))
            for piece in rule.body():
                await client.send(piece)
                self.given += len(piece)
            return False
        content = rule.body if rule.body is not None else content
        await client.send(_head(rule, head, {"Content-Length": str(len(content))}) + content)
        return True


async def _ask(
    server: SocketStream, replies: BufferedByteReceiveStream, request: bytes, method: str
) -> tuple[Head, bytes] | None:
    await server.send(request)
    reply = await read_reply(replies, method)
    assert reply is None or not reply[0].chunked
    return reply


def _blank() -> Head:
    return Head(raw=b"", first_line="HTTP/1.1 200 OK", fields={"content-type": "application/json"})


def _head(rule: Meddle, head: Head, framing: Mapping[str, str]) -> bytes:
    """Return the server's head with what the rule changes, and a framing that fits the new body."""
    status = head.words[1] if rule.status is None else rule.status
    made_up = {name.lower() for name in rule.headers} | (_OWN if rule.body is not None else {"content-length"})
    kept = {name: value for name, value in head.fields.items() if name not in made_up}
    fields = {**kept, **rule.headers, **framing}
    lines = [f"HTTP/1.1 {status} Meddled", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _patched(content: bytes, patch: Mapping[str, Any]) -> bytes:
    changed = {**json.loads(content), **patch}
    return json.dumps({name: value for name, value in changed.items() if value is not UNSET}).encode()


@contextlib.contextmanager
def meddling(authority: Authority, *rules: Rule, port: int = 0) -> Generator[Meddler, None, None]:
    """Run a proxy before the authorization server, in a thread of its own, until the block ends."""
    proxy = Meddler("127.0.0.1", authority.port, *rules)
    with start_blocking_portal("asyncio") as portal:
        task, number = portal.start_task(proxy.run, "127.0.0.1", port, name="meddler")
        proxy.url = f"http://127.0.0.1:{number}"
        try:
            yield proxy
        finally:
            task.cancel()
