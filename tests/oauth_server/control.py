"""What the tests may do to the server behind the client's back."""

# Django and the toolkit carry no types.
# pyright: basic, reportAttributeAccessIssue=false
# mypy: disable-error-code="import-untyped, misc"

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from oauth2_provider.models import AccessToken, Grant, RefreshToken

from tests.oauth_server.ledger import digest, ledger
from tests.oauth_server.project import reconfigure


def report(_request: Any) -> Any:
    """Tell what was received."""
    return JsonResponse(ledger.report())


def reset(request: Any) -> Any:
    """Forget every token and count, and take other settings."""
    for table in (RefreshToken, AccessToken, Grant):
        table.objects.all().delete()
    reconfigure(_body(request))
    ledger.reset()
    return _done()


def configure(request: Any) -> Any:
    """Take other settings and keep the rest."""
    reconfigure(_body(request))
    return _done()


def expire(_request: Any) -> Any:
    """End every access token now; the refresh tokens live on."""
    AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    return _done()


def revoke(_request: Any) -> Any:
    """Revoke every refresh token, and with it its access token."""
    for token in RefreshToken.objects.filter(revoked__isnull=True):
        token.revoke()
    return _done()


def narrow(request: Any) -> Any:
    """Take scopes from every token; what is issued at a refresh has the same."""
    AccessToken.objects.update(scope=_body(request)["scope"])
    return _done()


def personal(request: Any) -> Any:
    """Issue an access token without a refresh token, as a user does on a settings page."""
    value = secrets.token_urlsafe(40)
    owner = User.objects.get(email=_body(request)["email"])
    end = timezone.now() + timedelta(days=365)
    AccessToken.objects.create(user=owner, token=value, expires=end, scope="*")
    return JsonResponse({"token": value})


def deny(request: Any) -> Any:
    """Answer 401 on these paths, whatever the token."""
    ledger.denied = frozenset(_body(request)["paths"])
    return _done()


def living(request: Any) -> Any:
    """Count the access tokens that are alive; of one token, given, tell whether it is, be it a refresh token."""
    access = AccessToken.objects.filter(expires__gt=timezone.now())
    refresh = RefreshToken.objects.filter(revoked__isnull=True)
    if (token := _body(request).get("token")) is None:
        return JsonResponse({"count": access.count()})
    checksum = digest(token)
    return JsonResponse({"count": sum(table.filter(token_checksum=checksum).count() for table in (access, refresh))})


def _body(request: Any) -> dict[str, Any]:
    return dict(json.loads(request.body or b"{}"))


def _done() -> Any:
    return HttpResponse(status=204)
