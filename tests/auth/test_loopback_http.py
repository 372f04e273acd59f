"""What the receiver reads and answers, without a socket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import Secret
from tallyfy_async.auth.loopback_http import Desk, Page, read_head
from tests.auth.redirects import BEARER


def test_nothing_of_a_request_shows() -> None:
    request = read_head(b"GET /callback?code=s3cr3t HTTP/1.1\r\nHost: 127.0.0.1:80")
    assert request is not None
    assert "s3cr3t" not in repr(request)
    assert Desk(base="http://127.0.0.1", path="/callback").judge(request) == Page(
        status=421, text="Misdirected Request"
    )


def test_what_a_page_says_is_escaped() -> None:
    page = Page(status=200, text="<b>\"&'").encode().decode()
    assert "<p>&lt;b&gt;&quot;&amp;&#x27;</p>" in page


@given(st.binary(max_size=200))
def test_no_bytes_whatever_break_the_reader(data: bytes) -> None:
    desk = Desk(base="http://127.0.0.1:80", path="/callback", relays=True)
    for head in (data, b"GET /callback?" + data + b" HTTP/1.1\r\nHost: 127.0.0.1:80\r\nX:" + data):
        request = read_head(head)
        if request is not None:
            found = desk.judge(request)
            assert found is None or isinstance(found, Secret | Page)
            assert isinstance(desk.judge_body(request, data), Secret | Page)


def test_the_relay_carries_what_the_token_reply_of_seed_003_has() -> None:
    desk = Desk(base="http://127.0.0.1:8000", path="/callback", relays=True)
    request = read_head(b"POST /callback HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nOrigin: http://127.0.0.1:8000")
    assert request is not None
    body = "&".join(f"{name}={value}" for name, value in BEARER.items())
    found = desk.judge_body(request, body.encode())
    assert isinstance(found, Secret)
    assert found.reveal() == f"http://127.0.0.1:8000/callback#{body}"
