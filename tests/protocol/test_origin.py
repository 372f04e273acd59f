from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import ConfigurationError
from tallyfy_async.protocol.origin import checked_base, checked_url, is_insecure, origin_of

HOSTS = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}(\.[A-Za-z]{2,5}){1,2}", fullmatch=True)
PATHS = st.from_regex(r"(/[a-zA-Z0-9._~-]{1,6}){0,3}/{0,2}", fullmatch=True)
PORTS = st.just("") | st.integers(1, 65535).map(lambda port: f":{port}")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://go.tallyfy.com/api", "https://go.tallyfy.com/api"),
        ("https://go.tallyfy.com/api/", "https://go.tallyfy.com/api"),
        ("https://go.tallyfy.com/api//", "https://go.tallyfy.com/api"),
        ("https://api.tallyfy.com", "https://api.tallyfy.com"),
        ("https://staging.go.tallyfy.com:8443/api", "https://staging.go.tallyfy.com:8443/api"),
        ("HTTPS://Go.Tallyfy.COM/API", "https://go.tallyfy.com/API"),
        ("https://go.tallyfy.com/api?", "https://go.tallyfy.com/api"),
        ("https://go.tallyfy.com/api#", "https://go.tallyfy.com/api"),
        ("http://localhost:8000/api", "http://localhost:8000/api"),
        ("http://sandbox.localhost/api", "http://sandbox.localhost/api"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.8.8/api", "http://127.8.8.8/api"),
        ("http://[::1]:8000/api", "http://[::1]:8000/api"),
    ],
)
def test_a_url_to_which_a_token_may_go(url: str, kept: str) -> None:
    assert checked_base("base_url", url) == kept
    assert not is_insecure(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("go.tallyfy.com/api", "absolute"),
        ("/api", "absolute"),
        ("", "absolute"),
        ("ftp://go.tallyfy.com", "absolute"),
        ("javascript:alert(1)", "absolute"),
        ("https:///api", "absolute"),
        ("https://ada:pw@go.tallyfy.com/api", "user, password"),
        ("https://ada@go.tallyfy.com/api", "user, password"),
        ("https://go.tallyfy.com\\@evil.example/api", "user, password"),
        ("https://go.tallyfy.com/api?x=1", "query"),
        ("https://go.tallyfy.com/api#top", "fragment"),
        ("https://go.tallyfy.com/a b", "white space"),
        ("https://go.tallyfy.com/\n", "white space"),
        (" https://go.tallyfy.com", "white space"),
        ("https://go.tallyfy.com/\x00", "white space or control"),
        ("https://go.tallyfy.com:99999/api", "no valid URL"),
        ("https://go.tallyfy.com:port/api", "no valid URL"),
        ("https://[::1/api", "no valid URL"),
        ("http://go.tallyfy.com/api", "https"),
        ("http://127.0.0.1.evil.example/api", "https"),
        ("http://localhost.evil.example/api", "https"),
        ("http://notlocalhost/api", "https"),
        ("http://10.0.0.1/api", "https"),
        ("http://0.0.0.0/api", "https"),
    ],
)
def test_a_url_to_which_no_token_goes_is_refused_by_name(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^token_url .*{why}") as caught:
        checked_url("token_url", url)
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://login.example/o/token/", "https://login.example/o/token/"),
        ("https://login.example/o/token", "https://login.example/o/token"),
        ("HTTPS://Login.example", "https://login.example/"),
    ],
)
def test_an_endpoint_keeps_its_slash(url: str, kept: str) -> None:
    assert checked_url("token_url", url) == kept


def test_plain_http_is_a_matter_of_asking() -> None:
    assert checked_base("base_url", "http://tallyfy.test/api", allow_insecure_http=True) == "http://tallyfy.test/api"
    assert is_insecure("http://tallyfy.test/api")
    assert not is_insecure("https://tallyfy.test/api")


@given(
    st.sampled_from(["https", "HTTPS", "Https"]), HOSTS, PORTS, PATHS, st.from_regex(r"/[a-z0-9/]{0,8}", fullmatch=True)
)
def test_whatever_is_called_below_a_url_lies_in_its_origin(
    scheme: str, host: str, port: str, path: str, below: str
) -> None:
    url = checked_base("base_url", f"{scheme}://{host}{port}{path}")
    assert (url + below).startswith(origin_of(url))
    assert not url.endswith("/")
    assert checked_base("base_url", url) == url


@given(HOSTS, HOSTS)
def test_no_other_host_or_port_lies_in_an_origin(host: str, other: str) -> None:
    origin = origin_of(checked_base("base_url", f"https://{host}/api"))
    urls = [f"https://{host}.{other}/", f"https://{host}@{other}/", f"https://{host}:1/", f"http://{host}/"]
    assert not [url for url in urls if url.lower().startswith(origin)]
    assert (f"https://{other}/{host}".lower().startswith(origin)) is (other.lower() == host.lower())


@pytest.mark.parametrize("url", [None, b"https://go.tallyfy.com", 5])
def test_a_url_is_a_text(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url must be a str"):
        checked_base("base_url", url)


@given(st.text())
def test_any_text_is_a_url_or_a_configuration_error(text: str) -> None:
    try:
        checked = checked_base("base_url", text)
    except ConfigurationError:
        return
    assert urlsplit(checked).scheme in {"https", "http"}


@given(HOSTS, st.text(max_size=5))
def test_no_host_looks_like_loopback_by_its_beginning(host: str, tail: str) -> None:
    name = host.lower()
    if name.split(".")[-1] != "localhost":
        assert is_insecure(f"http://{name}/{tail if tail.isalnum() else ''}")
