"""The Django project: django-oauth-toolkit on a SQLite file, and nothing that a browser needs."""

# Django and the toolkit carry no types.
# pyright: basic, reportAttributeAccessIssue=false
# mypy: disable-error-code="import-untyped, misc"

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
from django.conf import settings

from tests.oauth_server.known import (
    CODE_CLIENT,
    IMPLICIT_CLIENT,
    PASSWORD_CLIENT,
    PUBLIC_CLIENT,
    REDIRECT_URI,
    SCOPES,
    SERVICE_CLIENT,
    USERS,
)

DEFAULTS: dict[str, Any] = {
    "SCOPES": {scope: scope for scope in SCOPES},
    "PKCE_REQUIRED": True,
    # Otherwise the views keep the life that tokens had at their first request.
    "ALWAYS_RELOAD_OAUTHLIB_CORE": True,
}
_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]


def configure(folder: Path) -> None:
    """Set Django up with its database in ``folder``."""
    settings.configure(
        SECRET_KEY="known to everybody",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.oauth_server.urls",
        INSTALLED_APPS=_APPS,
        # Tables are made from the models: going through every migration takes longer than all the rest.
        MIGRATION_MODULES=dict.fromkeys(("auth", "contenttypes", "oauth2_provider")),
        MIDDLEWARE=[
            "tests.oauth_server.counting.counting",
            "django.middleware.common.CommonMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        # Whoever asks for a token waits for the hasher, and here nobody's password is worth it.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        DATABASES={"default": _database(folder / "oauth.sqlite3")},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        LOGGING_CONFIG=None,
        OAUTH2_PROVIDER=DEFAULTS,
    )
    django.setup()


def _database(path: Path) -> dict[str, Any]:
    # One thread answers everything, see __main__, so its connection stays open.
    options = {"init_command": "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options, "CONN_MAX_AGE": None}


def populate() -> None:
    """Make the tables, the users and the registered clients."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", run_syncdb=True, verbosity=0)
    for email, password in USERS.items():
        User.objects.create_user(username=email, email=email, password=password)
    confidential, public = Application.CLIENT_CONFIDENTIAL, Application.CLIENT_PUBLIC
    code = Application.GRANT_AUTHORIZATION_CODE
    for (client_id, secret), kind, grant in (
        (PASSWORD_CLIENT, confidential, Application.GRANT_PASSWORD),
        (SERVICE_CLIENT, confidential, Application.GRANT_CLIENT_CREDENTIALS),
        (CODE_CLIENT, confidential, code),
        ((PUBLIC_CLIENT, ""), public, code),
        ((IMPLICIT_CLIENT, ""), public, Application.GRANT_IMPLICIT),
    ):
        Application.objects.create(
            client_id=client_id,
            client_secret=secret,
            client_type=kind,
            authorization_grant_type=grant,
            redirect_uris=REDIRECT_URI,
            skip_authorization=True,
        )


def reconfigure(changes: dict[str, Any]) -> None:
    """Replace the toolkit's settings by the defaults and ``changes``."""
    from oauth2_provider.settings import oauth2_settings

    settings.OAUTH2_PROVIDER = {**DEFAULTS, **changes}
    oauth2_settings.reload()
