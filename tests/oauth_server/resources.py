"""The protected resource, which asks the toolkit about every token, and the login page's form."""

# Django and the toolkit carry no types.
# pyright: basic, reportAttributeAccessIssue=false
# mypy: disable-error-code="import-untyped, misc"

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth import authenticate, login
from django.http import HttpResponse, JsonResponse
from oauth2_provider.oauth2_backends import get_oauthlib_core

from tests.oauth_server.ledger import ledger


def me(request: Any) -> Any:
    """Answer who the token belongs to; 401 for dead tokens and for those that belong to nobody."""
    found = _found(request)
    if found is None or found.user is None:
        return _unauthenticated()
    return JsonResponse({"data": {"email": found.user.email}})


def things(request: Any) -> Any:
    """Make a thing by POST; 401 for dead tokens, 403 for those without the scope ``process``."""
    found = _found(request)
    if found is None:
        return _unauthenticated()
    if not set(found.access_token.scopes) & {"*", "process"}:
        return JsonResponse({"error": True, "message": "This action is unauthorized."}, status=403)
    if request.method != "POST":
        return JsonResponse({"error": True, "message": "Method not allowed."}, status=405)
    return JsonResponse({"data": {"id": ledger.add_thing(json.loads(request.body))}}, status=201)


def sign_in(request: Any) -> Any:
    """Begin a session, as the login page's form does."""
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return HttpResponse(status=403)
    login(request, user)
    return HttpResponse(status=204)


def _found(request: Any) -> Any:
    """Return what the toolkit found behind the bearer token, None where it is dead or the path is closed."""
    valid, found = get_oauthlib_core().verify_request(request, scopes=[])
    return found if valid and request.path not in ledger.denied else None


def _unauthenticated() -> Any:
    body = {"error": True, "message": "Unauthenticated."}
    return JsonResponse(body, status=401, headers={"WWW-Authenticate": "Bearer"})
