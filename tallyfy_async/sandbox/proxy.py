"""A TCP proxy that breaks connections on purpose, byte by byte, in front of any HTTP/1.1 server."""

import contextlib
import os
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import Generator, Iterable, Mapping

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.from_thread import start_blocking_portal
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define, frozen

from .faults import Profile
from .wire import Head, MalformedMessageError, buffered, read_body, read_head, read_reply

_GONE = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.DelimiterNotFound,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    MalformedMessageError,
    OSError,
)
"""What ends one connection and never the proxy."""
_PAGE = "/oauth/authorize"


@frozen(kw_only=True)
class Rule:
    """Say which requests meet which accident on the wire.

    `path` is a prefix of the request target (`/api/organizations/`), or a regular expression when it starts with ^. The
    first `after` matches pass, then the rule strikes `times` times (None: for ever), each time with `probability`.

    Accidents: `delay_before` seconds; `drop_before` closes without forwarding (no effect on the server); `hang`
    neither forwards nor answers until the client leaves; `drop_after` forwards, waits for the reply and closes without
    giving it; `delay_after` seconds before the reply; `truncate` gives that many bytes of the reply and closes;
    `dribble` gives the reply byte by byte, that many seconds apart. `reset` closes with a TCP reset instead of an
    orderly end.
    """

    method: str | None = None
    path: str | None = None
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    delay_before: float = 0.0
    delay_after: float = 0.0
    drop_before: bool = False
    drop_after: bool = False
    hang: bool = False
    truncate: int | None = None
    dribble: float | None = None
    reset: bool = False

    def matches(self, method: str, target: str) -> bool:
        """Tell whether a request line is of the described kind."""
        if self.method is not None and self.method.upper() != method:
            return False
        if self.path is None:
            return True
        return bool(re.search(self.path, target)) if self.path.startswith("^") else target.startswith(self.path)


@define(eq=False)
class _Armed:
    rule: Rule
    matched: int = 0
    struck: int = 0


_READS = r"^/(api/)?organizations/"
WEATHER: Mapping[Profile, tuple[Rule, ...]] = {
    "none": (),
    "some": (
        Rule(method="GET", path=_READS, times=None, probability=0.01, drop_before=True),
        Rule(method="GET", path=_READS, times=None, probability=0.01, drop_after=True),
    ),
    "many": (
        Rule(method="GET", path=_READS, times=None, probability=0.03, drop_before=True),
        Rule(method="GET", path=_READS, times=None, probability=0.03, drop_after=True),
        Rule(method="GET", path=_READS, times=None, probability=0.01, truncate=200),
    ),
}
"""Accidents of reads only: they are safe to repeat."""


class Proxy:
    """The proxy's rules and counters; `url` is the base URL for API calls through it, `authorize_url` the page's."""

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self._target = (host, port)
        self._rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._script: list[_Armed] = []
        self._weather: list[_Armed] = []
        self._spared: Counter[str] = Counter()
        self.url = ""
        self.authorize_url = ""
        self.connections = 0
        self.requests = 0
        self.struck = 0
        self.open = 0
        """Client connections that are open now."""

    def add(self, *rules: Rule) -> None:
        """Append rules to the script. Safe to call while the proxy runs in its thread."""
        self._script = [*self._script, *map(_Armed, rules)]

    def clear(self) -> None:
        """Forget the script and the weather."""
        self._script, self._weather = [], []

    def profile(self, name: Profile) -> None:
        """Choose the weather: none, some or many dropped connections on reads; repeats of a request are spared."""
        self._weather = [_Armed(rule) for rule in WEATHER[name]]

    def _pick(self, head: Head) -> Rule:
        method, target = head.words[0], head.words[1]
        rule = self._first(self._script, method, target)
        if rule is None and self._weather:
            rule = self._storm(head.first_line, method, target)
        self.struck += rule is not None
        return rule or Rule()

    def _storm(self, line: str, method: str, target: str) -> Rule | None:
        """After an accident spare the next three requests with the same first line: retries must get through."""
        if self._spared[line]:
            self._spared[line] -= 1
            return None
        rule = self._first(self._weather, method, target)
        if rule is not None:
            self._spared[line] = 3
        return rule

    def _first(self, armed: Iterable[_Armed], method: str, target: str) -> Rule | None:
        for one in armed:
            if not one.rule.matches(method, target):
                continue
            one.matched += 1
            spent = one.rule.times is not None and one.struck >= one.rule.times
            if not spent and one.matched > one.rule.after and self._rng.random() < one.rule.probability:
                one.struck += 1
                return one.rule
        return None

    async def run(self, host: str, port: int, *, task_status: TaskStatus[int]) -> None:
        """Listen and serve until cancelled; report the port."""
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
        async with listener:
            task_status.started(listener.extra(SocketAttribute.local_port))
            await listener.serve(self._client)

    async def _client(self, client: SocketStream) -> None:
        """Serve one client connection, request by request, over one server connection."""
        self.connections += 1
        self.open += 1
        try:
            async with client:
                with contextlib.suppress(*_GONE):
                    async with await anyio.connect_tcp(*self._target) as server:
                        await self._exchanges(client, server)
        finally:
            self.open -= 1

    async def _exchanges(self, client: SocketStream, server: SocketStream) -> None:
        requests, replies = buffered(client), buffered(server)
        alive = True
        while alive:
            head = await read_head(requests)
            if head is None:
                return
            alive = await self._exchange(client, server, requests, replies, head)

    async def _exchange(
        self,
        client: SocketStream,
        server: SocketStream,
        requests: BufferedByteReceiveStream,
        replies: BufferedByteReceiveStream,
        head: Head,
    ) -> bool:
        """Pass one request and its reply on; tell whether the connection goes on."""
        self.requests += 1
        rule = self._pick(head)
        body = await read_body(requests, head)
        if rule.delay_before:
            await anyio.sleep(rule.delay_before)
        if rule.hang:
            await read_head(requests)
            return False
        if rule.drop_before:
            return _cut(client, rule)
        await server.send(head.raw + body)
        reply = await read_reply(replies, head.words[0])
        if reply is None or rule.drop_after:
            return _cut(client, rule)
        if rule.delay_after:
            await anyio.sleep(rule.delay_after)
        await _give(client, reply[0].raw + reply[1], rule)
        if rule.truncate is not None:
            return _cut(client, rule)
        return not (head.closing or reply[0].closing)


def _cut(client: SocketStream, rule: Rule) -> bool:
    """End the connection: False lets the caller close it in order, `reset` sends a TCP reset at once.

    A stream says goodbye before it closes, so the descriptor is replaced beneath it: without lingering the kernel
    resets a connection whose last descriptor goes.
    """
    if rule.reset:
        raw = client.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.socket() as blank:
            os.dup2(blank.fileno(), raw.fileno(), inheritable=False)
    return False


async def _give(client: SocketStream, data: bytes, rule: Rule) -> None:
    data = data if rule.truncate is None else data[: rule.truncate]
    if rule.dribble is None:
        await client.send(data)
        return
    for number in range(len(data)):
        await client.send(data[number : number + 1])
        await anyio.sleep(rule.dribble)


@contextlib.contextmanager
def proxying(
    host: str, port: int, *rules: Rule, listen: tuple[str, int] = ("127.0.0.1", 0), seed: int = 0, base: str = "/api"
) -> Generator[Proxy, None, None]:
    """Run a proxy in a thread of its own until the block ends; yield it."""
    proxy = Proxy(host, port, seed)
    proxy.add(*rules)
    with start_blocking_portal("asyncio") as portal:
        running, number = portal.start_task(proxy.run, *listen, name="tallyfy-sandbox-proxy")
        origin = f"http://{listen[0]}:{number}"
        proxy.url, proxy.authorize_url = f"{origin}{base}", f"{origin}{_PAGE}"
        try:
            yield proxy
        finally:
            running.cancel()
