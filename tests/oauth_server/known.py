"""What the authorization server starts with and both sides know: clients, users, scopes."""

from __future__ import annotations

from typing import Final

USERS: Final = {"ada@example.com": "correct horse 7", "bob@example.com": "battery staple 9"}
PASSWORD_CLIENT: Final = ("password-app", "password-app-secret-4b1f")
SERVICE_CLIENT: Final = ("service-app", "service-app-secret-90ce")
CODE_CLIENT: Final = ("code-app", "code-app-secret-d27a")
PUBLIC_CLIENT: Final = "public-app"
IMPLICIT_CLIENT: Final = "implicit-app"
REDIRECT_URI: Final = "http://127.0.0.1:8765/callback"
SCOPES: Final = ("*", "organization", "account", "template", "process")
