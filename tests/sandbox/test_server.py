from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Generator

import httpx
import pytest

from tallyfy_async.sandbox import Fault, Proxy, Rule, Sandbox, Settings
from tallyfy_async.sandbox.proxy import WEATHER, proxying
from tallyfy_async.sandbox.server import listening_socket

SETTINGS = Settings(runs=5, tasks=40, users=5)


@pytest.fixture(scope="module")
def served() -> Generator[Sandbox]:
    sandbox = Sandbox(SETTINGS)
    with sandbox.serve():
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Sandbox:
    served.faults.clear()
    served.stats.reset()
    return served


@pytest.fixture
def headers(sandbox: Sandbox) -> dict[str, str]:
    token = sandbox.credentials.personal_token
    return {"Authorization": f"Bearer {token}", "X-Tallyfy-Client": "x", "Accept": "application/json"}


@pytest.fixture
def http(headers: dict[str, str]) -> Generator[httpx.Client]:
    with httpx.Client(headers=headers, timeout=5) as client:
        yield client


def exchange(url: str, request: bytes) -> bytes:
    """Send raw bytes, return what comes until the server closes."""
    parts = httpx.URL(url)
    with socket.create_connection((parts.host, parts.port or 80), timeout=5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_url_is_the_real_one_only_inside_the_block() -> None:
    sandbox = Sandbox(SETTINGS)
    with sandbox.serve() as same:
        assert same is sandbox
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.url.endswith("/api")
        address = httpx.URL(sandbox.url)
    assert sandbox.url == "http://sandbox.localhost/api"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port or 0), timeout=1)


def test_served_twice_in_a_row_on_the_same_port() -> None:
    sandbox = Sandbox(SETTINGS)
    with sandbox.serve():
        port = httpx.URL(sandbox.url).port or 0
        assert httpx.get(f"{sandbox.url}/nope").status_code == 404
    with sandbox.serve(port=port):
        assert httpx.get(f"{sandbox.url}/nope").status_code == 404


def test_taken_port_is_a_clear_error_and_leaks_nothing() -> None:
    sandbox = Sandbox(SETTINGS)
    with listening_socket("127.0.0.1", 0) as taken:
        threads = threading.active_count()
        with pytest.raises(OSError, match="in use"), sandbox.serve(port=taken.getsockname()[1]):
            raise AssertionError
        assert threading.active_count() == threads
    gc.collect()


def test_listening_socket_names_tcp_and_has_no_delay() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_stops_soon_with_an_open_connection_and_a_hanging_request(headers: dict[str, str]) -> None:
    sandbox = Sandbox(SETTINGS)
    sandbox.faults.add(Fault(path="/me", delay=60))
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(socket.socket())
        with sandbox.serve():
            address = httpx.URL(sandbox.url)
            idle.connect((address.host, address.port))
            hanging = stack.enter_context(socket.create_connection((address.host, address.port or 0)))
            hanging.sendall(b"GET /api/me HTTP/1.1\r\nHost: x\r\n\r\n")
            while sandbox.stats.concurrency == 0:
                time.sleep(0.01)
            started = time.monotonic()
        assert time.monotonic() - started < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "tallyfy-sandbox"][1:]


def test_strict_bearer_over_a_raw_socket(sandbox: Sandbox) -> None:
    token = sandbox.credentials.personal_token.encode()
    for spaces, status in ((b" ", b"200"), (b"  ", b"401")):
        head = b"GET /api/me HTTP/1.1\r\nHost: h\r\nX-Tallyfy-Client: x\r\nConnection: close\r\nAuthorization: Bearer"
        assert exchange(sandbox.url, head + spaces + token + b"\r\n\r\n").split()[1] == status


def test_keep_alive_and_both_base_styles(sandbox: Sandbox, http: httpx.Client) -> None:
    first = http.get(f"{sandbox.url}/me")
    second = http.get(f"{sandbox.url.removesuffix('/api')}/me")
    assert first.json() == second.json()
    assert first.extensions["network_stream"] is second.extensions["network_stream"]


def test_client_that_leaves_in_the_middle_of_its_body_has_no_effect(sandbox: Sandbox, http: httpx.Client) -> None:
    address = httpx.URL(sandbox.url)
    before = sandbox.stats.requests
    with socket.create_connection((address.host, address.port or 0)) as connection:
        connection.sendall(b"POST /api/oauth/token HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\ngrant_type=")
    assert http.get(f"{sandbox.url}/me").status_code == 200
    assert sandbox.stats.requests == before + 1


def test_proxy_needs_a_running_server() -> None:
    with pytest.raises(RuntimeError, match="serve"), Sandbox(SETTINGS).proxy():
        raise AssertionError


def test_proxy_passes_several_requests_on_one_connection(sandbox: Sandbox, http: httpx.Client) -> None:
    with sandbox.proxy() as proxy:
        replies = [http.get(f"{proxy.url}/me") for _ in range(3)]
        login = http.post(f"{proxy.url}/oauth/token", data={"grant_type": "x"})
        assert [reply.status_code for reply in replies] == [200, 200, 200]
        assert login.status_code == 400
        assert (proxy.connections, proxy.requests, proxy.struck) == (1, 4, 0)


def test_proxy_passes_chunked_bodies_both_ways(sandbox: Sandbox, http: httpx.Client) -> None:
    mine = sandbox.credentials
    pairs = {
        "grant_type": "password",
        "client_id": mine.client_id,
        "client_secret": mine.client_secret,
        "username": mine.username,
        "password": mine.password,
    }
    body = str(httpx.QueryParams(pairs)).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with sandbox.proxy() as proxy:
        reply = http.post(
            f"{proxy.url}/oauth/token", content=(body[n : n + 7] for n in range(0, len(body), 7)), headers=kind
        )
        assert reply.status_code == 200, reply.text
        assert http.get(f"{proxy.url}/me").status_code == 200
        assert proxy.connections == 1


@pytest.mark.parametrize(("rule", "lives"), [(Rule(drop_before=True), 0), (Rule(drop_after=True), 1)])
def test_dropped_connections_with_and_without_the_effect(
    sandbox: Sandbox, http: httpx.Client, rule: Rule, lives: int
) -> None:
    mine, before = sandbox.credentials, sandbox.token_lives
    data = {"grant_type": "client_credentials", "client_id": mine.client_id, "client_secret": mine.client_secret}
    with sandbox.proxy(rule) as proxy:
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(f"{proxy.url}/oauth/token", data=data)
        assert sandbox.token_lives - before == lives
        assert http.post(f"{proxy.url}/oauth/token", data=data).status_code == 200
        assert (proxy.connections, proxy.requests, proxy.struck) == (2, 2, 1)


def test_reset_is_a_reset(sandbox: Sandbox, http: httpx.Client) -> None:
    with sandbox.proxy(Rule(drop_after=True, reset=True)) as proxy, pytest.raises(httpx.ReadError, match="reset"):
        http.get(f"{proxy.url}/me")


def test_truncated_reply(sandbox: Sandbox, headers: dict[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET /api/me HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode()
    with sandbox.proxy(Rule(truncate=100)) as proxy:
        data = exchange(proxy.url, request)
    assert len(data) == 100
    assert data.startswith(b"HTTP/1.1 200")


def test_dribbled_reply_is_whole(sandbox: Sandbox, http: httpx.Client) -> None:
    with sandbox.proxy(Rule(dribble=0)) as proxy:
        assert http.get(f"{proxy.url}/me").json() == http.get(f"{sandbox.url}/me").json()
        assert proxy.struck == 1


def test_delays_are_before_and_after_the_effect(sandbox: Sandbox, headers: dict[str, str]) -> None:
    for rule, seen in ((Rule(delay_before=30), 0), (Rule(delay_after=30), 1)):
        sandbox.stats.reset()
        with sandbox.proxy(rule) as proxy:
            with pytest.raises(httpx.ReadTimeout):
                httpx.get(f"{proxy.url}/me", headers=headers, timeout=0.3)
            assert sandbox.stats.requests == seen


def test_hang_ends_when_the_client_leaves(sandbox: Sandbox, headers: dict[str, str]) -> None:
    with sandbox.proxy(Rule(hang=True)) as proxy:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{proxy.url}/me", headers=headers, timeout=0.2)
        while proxy.open:
            time.sleep(0.01)
        assert (sandbox.stats.requests, proxy.requests) == (0, 1)


def test_rules_match_the_first_line(sandbox: Sandbox, headers: dict[str, str]) -> None:
    rules = (
        Rule(method="get", path="^/api/me$", after=1, times=1, drop_before=True),
        Rule(path="/api/oauth", drop_before=True),
    )
    with sandbox.proxy(*rules) as proxy, httpx.Client(headers=headers) as http:
        assert http.get(f"{proxy.url}/me").status_code == 200
        assert http.get(f"{proxy.url}/me?x=1").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            http.get(f"{proxy.url}/me")
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(f"{proxy.url}/oauth/token")
        proxy.add(Rule(times=None, drop_before=True))
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                http.get(f"{proxy.url}/me")
        proxy.clear()
        assert http.get(f"{proxy.url}/me").status_code == 200


def test_proxy_survives_clients_that_talk_nonsense(sandbox: Sandbox, http: httpx.Client) -> None:
    with sandbox.proxy() as proxy:
        for nonsense in (b"\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"half"):
            address = httpx.URL(proxy.url)
            with socket.create_connection((address.host, address.port or 0), timeout=5) as connection:
                connection.sendall(nonsense)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1000)
        assert http.get(f"{proxy.url}/me").status_code == 200


def test_weather_cuts_reads_only_and_spares_repeats(sandbox: Sandbox, http: httpx.Client) -> None:
    org = f"/organizations/{sandbox.credentials.organization}"
    with sandbox.proxy() as proxy:
        proxy.profile("many")
        lost = 0
        for number in range(150):
            url = f"{proxy.url}{org}/users?page={number}"
            failures = 0
            while failures < 3:
                try:
                    assert http.get(url).status_code == 200
                except httpx.TransportError:
                    failures += 1
                else:
                    break
            assert failures <= 1
            lost += failures
            assert http.post(f"{proxy.url}/oauth/token").status_code == 400
        assert lost > 0
        assert lost == proxy.struck
        proxy.profile("none")
    assert all(rule.method == "GET" for rules in WEATHER.values() for rule in rules)


def test_proxy_without_a_server_closes() -> None:
    with listening_socket("127.0.0.1", 0) as closed:
        port = closed.getsockname()[1]
    with proxying("127.0.0.1", port) as proxy:
        assert isinstance(proxy, Proxy)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{proxy.url}/me")
