"""Authorization requests of one client, and redirects that answer them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tallyfy_async import RedirectError
from tallyfy_async.auth.authorize import AuthorizationRequest

NOW = 1_780_000_000.0
APP = "https://app.example/callback"
CLIENT: dict[str, Any] = {"client_id": "9999", "redirect_uri": APP, "now": NOW}
CODE = "def50200" + "c0de" * 40
TOKEN = "eyJhbGciOiJIUzI1NiJ9." + "t0ken" * 20 + ".sig"
BEARER = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": "840"}


def code_request(**changes: Any) -> AuthorizationRequest:
    return AuthorizationRequest.code(**{**CLIENT, "client_secret": "s3cr3t-of-client", **changes})


def implicit_request(**changes: Any) -> AuthorizationRequest:
    return AuthorizationRequest.implicit(**{**CLIENT, **changes})


def answer(request: AuthorizationRequest, sign: str = "?", *, to: str | None = None, **parameters: Any) -> str:
    """Return a redirect with the right state, unless ``state`` says something else; None leaves it out."""
    given = {"state": request.state.reveal(), **parameters}
    return (to or request.redirect_uri) + sign + urlencode({n: v for n, v in given.items() if v is not None})


def token_answer(request: AuthorizationRequest, sign: str = "#", **parameters: Any) -> str:
    return answer(request, sign, **{**BEARER, **parameters})


def refused(request: AuthorizationRequest, redirect_url: str, words: str, *, now: float = NOW) -> None:
    with pytest.raises(RedirectError, match=words):
        request.redeem(redirect_url, now=now)


def asked(request: AuthorizationRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))
