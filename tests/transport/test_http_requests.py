"""What goes out on the wire, and where it may go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tallyfy_async import (
    APIError,
    ConfigurationError,
    NotSentError,
    RequestOptions,
    TallyfyClient,
    Timeouts,
)
from tallyfy_async.sandbox import Fault
from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.exchange import Request
from tallyfy_async.transport.http import HTTPTransport, build_client
from tests.helpers import connect, http_of, small_sandbox
from tests.transport.wire import raw_server

pytestmark = pytest.mark.anyio

JSON_REPLY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"data":{}}'


def field_lines(head: bytes) -> list[str]:
    return head.decode("ascii").split("\r\n")[1:-2]


async def test_the_headers_of_a_read_byte_for_byte() -> None:
    with raw_server(JSON_REPLY) as server:
        async with TallyfyClient("abc.def", base_url=f"{server.url}/api") as client:
            await client.request("GET", "/me")
    lines = field_lines(server.received[0])
    assert server.received[0].startswith(b"GET /api/me HTTP/1.1\r\n")
    assert lines.count("Authorization: Bearer abc.def") == 1
    assert lines.count("X-Tallyfy-Client: APIClient") == 1
    assert lines.count("Accept: application/json") == 1
    assert not [line for line in lines if line.lower().startswith(("content-type", "content-length", "cookie"))]
    names = [line.partition(":")[0].lower() for line in lines]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("body", [None, {"name": "Ä"}, [], ""])
async def test_writes_say_that_they_are_json_with_and_without_a_body(body: object) -> None:
    sandbox = small_sandbox()
    async with connect(sandbox) as client:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            with pytest.raises(APIError):
                await client.request(method, "/nowhere", json=body)
    for received in sandbox.stats.received:
        assert received.headers["content-type"] == "application/json"
        assert received.headers["authorization"] == f"Bearer {sandbox.credentials.personal_token}"
        assert received.headers["x-tallyfy-client"] == "APIClient"
        assert received.headers["accept"] == "application/json"
        assert received.headers["accept-encoding"] == "gzip, deflate"
    assert len(sandbox.stats.received) == 4


async def test_a_body_arrives_whole_with_its_length() -> None:
    sandbox = small_sandbox()
    body = {"text": "ä€😀" * 50_000}
    with sandbox.serve():
        async with connect(sandbox, transport=None) as client:
            with pytest.raises(APIError):
                await client.request("POST", "/nowhere", json=body)
    received = sandbox.stats.received[0]
    assert received.body.decode() == '{"text":"' + body["text"] + '"}'
    assert received.headers["content-length"] == str(len(received.body))
    assert "transfer-encoding" not in received.headers


async def test_headers_of_the_client_and_of_the_call_are_added() -> None:
    sandbox = small_sandbox()
    async with connect(sandbox, headers={"X-Team": "blue"}, user_agent="acme/1.0") as client:
        await client.me.get(options=RequestOptions(headers={"X-Trace": "7"}))
    headers = sandbox.stats.received[0].headers
    assert (headers["x-team"], headers["x-trace"]) == ("blue", "7")
    assert headers["user-agent"].startswith("acme/1.0 tallyfy-async/")


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "x-tallyfy-client",
        "ACCEPT",
        "Content-Type",
        "Content-Length",
        "Cookie",
        "Host",
        "Accept-Encoding",
    ],
)
def test_the_clients_own_headers_cannot_be_replaced(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is set by the client"):
        RequestOptions(headers={name: "x"})
    with pytest.raises(ConfigurationError, match="is set by the client"):
        TallyfyClient("abc", headers={name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "one\r\nX-B: two"),
        ("X-A", "nul\0"),
        ("X-A", "é"),
        ("X-A", " edge"),
        ("X-A", "tab\t"),
        ("X-A", 7),
        ("X A", "x"),
        ("", "x"),
        ("X-A:", "x"),
        ("é", "x"),
        ("X-A\r\nX-B", "x"),
    ],
)
def test_headers_that_http_cannot_carry_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="header"):
        RequestOptions(headers={name: value})


async def test_no_cookie_is_kept() -> None:
    sandbox = small_sandbox()
    sandbox.faults.add(Fault(operation="get_me", times=None, headers={"Set-Cookie": "session=42; Path=/"}))
    async with connect(sandbox) as client:
        for _ in range(3):
            await client.me.get()
        assert not http_of(client).cookies.jar
        with pytest.raises(AttributeError, match="keeps no cookies"):
            http_of(client).cookies = {"session": "42"}
    assert not [received for received in sandbox.stats.received if "cookie" in received.headers]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    sandbox = small_sandbox()
    sandbox.faults.add(Fault(operation="get_me", status=status, body="", headers={"Location": "/api/me"}))
    async with connect(sandbox) as client:
        with pytest.raises(APIError) as caught:
            await client.me.get()
    assert caught.value.status == status
    assert sandbox.stats.requests == 1


async def test_netrc_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login eve password eve\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    for trust_env in (False, True):
        with raw_server(JSON_REPLY) as server:
            async with TallyfyClient("abc", base_url=server.url, trust_env=trust_env) as client:
                await client.request("GET", "/me")
        assert "Authorization: Bearer abc" in field_lines(server.received[0])


async def test_proxies_of_the_environment_count_only_when_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(JSON_REPLY) as proxy, raw_server(JSON_REPLY) as server:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with TallyfyClient("abc", base_url=server.url) as client:
            await client.request("GET", "/me")
        assert (len(proxy.received), len(server.received)) == (0, 1)
        async with TallyfyClient("abc", base_url=server.url, trust_env=True) as client:
            await client.request("GET", "/me")
        assert (len(proxy.received), len(server.received)) == (1, 1)
    assert proxy.received[0].startswith(f"GET {server.url}/me HTTP/1.1\r\n".encode())


async def test_a_proxy_that_is_named_is_used() -> None:
    with raw_server(JSON_REPLY) as proxy:
        async with TallyfyClient("abc", base_url="http://localhost:9/api", proxy=proxy.url) as client:
            await client.request("GET", "/me")
    assert proxy.received[0].startswith(b"GET http://localhost:9/api/me HTTP/1.1\r\n")


async def test_a_proxy_that_refuses_the_tunnel_means_that_nothing_was_sent() -> None:
    with raw_server(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        async with TallyfyClient("abc", base_url="https://localhost:9/api", proxy=proxy.url, retry=0) as client:
            with pytest.raises(NotSentError):
                await client.request("POST", "/tasks", json={})
    assert b"Bearer" not in proxy.received[0]


@pytest.mark.parametrize("proxy", ["socks9://localhost:1", "nonsense", "http://"])
def test_an_unusable_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must be a URL"):
        TallyfyClient("abc", proxy=proxy)


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/api/me",
        "https://go.tallyfy.com.evil.example/api/me",
        "https://go.tallyfy.com@evil.example/api/me",
        "https://go.tallyfy.com:444/api/me",
        "http://go.tallyfy.com/api/me",
        "//go.tallyfy.com/api/me",
        "/api/me",
    ],
)
async def test_nothing_is_sent_outside_the_configured_origins(url: str) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"{request.url} was asked")

    client = build_client(connections=1, transport=httpx.MockTransport(refuse))
    transport = HTTPTransport(client=client, clock=SystemClock(), origins=("https://go.tallyfy.com/",))
    with pytest.raises(ConfigurationError, match="outside the configured"):
        await transport.exchange(Request(method="GET", url=url, headers=(), timeouts=Timeouts()))
    await transport.aclose()


@pytest.mark.parametrize("setting", ["base_url", "token_url", "refresh_url"])
def test_plain_http_is_for_loopback_only(setting: str) -> None:
    for url in ("http://127.0.0.1:8000/api", "http://localhost/api", "http://[::1]/api", "http://a.localhost/api"):
        TallyfyClient("abc", **{setting: url})  # type: ignore[arg-type]
    for url in ("http://go.tallyfy.com/api", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/"):
        with pytest.raises(ConfigurationError, match="must be https"):
            TallyfyClient("abc", **{setting: url})  # type: ignore[arg-type]
        with pytest.warns(UserWarning, match="in the clear"):
            TallyfyClient("abc", allow_insecure_http=True, **{setting: url})  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["https://u:p@go.tallyfy.com/api", "ftp://x/", "go.tallyfy.com", "https://x/?a=1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        TallyfyClient("abc", base_url=url)


async def test_an_injected_http_client_stays_open_and_its_own_auth_and_cookies_stay_out() -> None:
    sandbox = small_sandbox()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app), auth=("eve", "eve"), follow_redirects=True
    ) as own:
        async with connect(sandbox, transport=None, http_client=own) as client:
            await client.me.get()
        assert not own.is_closed
    assert sandbox.stats.received[0].headers["authorization"] == f"Bearer {sandbox.credentials.personal_token}"
