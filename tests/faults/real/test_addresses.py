"""The toolkit's own addresses end with a slash, and it answers at no others."""

from __future__ import annotations

import pytest

from tallyfy_async import AuthorizationRequest
from tests.faults.real.rig import connected, me
from tests.oauth_server.authority import Authority
from tests.oauth_server.known import PUBLIC_CLIENT, REDIRECT_URI
from tests.oauth_server.meddler import meddling


@pytest.mark.anyio
async def test_token_url_is_used_as_it_was_given(authority: Authority) -> None:
    with meddling(authority) as proxy:
        async with connected(proxy.url, token_url=f"{proxy.url}/o/token/") as tallyfy:
            assert await me(tallyfy) == 200
        assert proxy.received == {"POST /o/token/": 1, "GET /api/me": 1}


def test_authorize_url_is_used_as_it_was_given(authority: Authority) -> None:
    address = f"{authority.url}/o/authorize/"
    request = AuthorizationRequest.code(client_id=PUBLIC_CLIENT, redirect_uri=REDIRECT_URI, authorize_url=address)
    assert request.url.startswith(f"{address}?")
