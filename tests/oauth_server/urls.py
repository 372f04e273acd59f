"""The server's addresses."""

# Django and the toolkit carry no types.
# pyright: basic, reportAttributeAccessIssue=false
# mypy: disable-error-code="import-untyped, misc"

from __future__ import annotations

from django.urls import include, path
from oauth2_provider.views import AuthorizationView, TokenView

from tests.oauth_server import control, resources

urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    # The toolkit's addresses end with a slash, which the client takes away.
    path("o/token", TokenView.as_view()),
    path("o/authorize", AuthorizationView.as_view()),
    path("accounts/login/", resources.sign_in),
    path("api/me", resources.me),
    path("api/things", resources.things),
    *(
        path(f"control/{view.__name__}", view)
        for view in (
            control.report,
            control.reset,
            control.configure,
            control.expire,
            control.revoke,
            control.narrow,
            control.personal,
            control.deny,
            control.living,
        )
    ),
]
