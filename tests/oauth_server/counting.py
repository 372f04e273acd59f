"""The middleware that writes down what reaches the token endpoint and the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.oauth_server.ledger import ledger


def counting(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a view that counts."""

    def counted(request: Any) -> Any:
        response = get_response(request)
        if request.path.startswith("/o/token"):
            ledger.token_request(request.POST.dict(), _outcome(response))
        elif request.path.startswith("/api/"):
            ledger.call(request.method, request.path, response.status_code, dict(request.headers))
        return response

    return counted


def _outcome(response: Any) -> str:
    """Return ``ok``, the error code of the reply, or its status."""
    if response.status_code == 200:
        return "ok"
    try:
        return str(json.loads(response.content)["error"])
    except (ValueError, LookupError, TypeError):
        return str(response.status_code)
