"""Failures of the authorization server in the words of league/oauth2-server 8.5 and 9.4, the engine of Passport."""

from .problems import Problem
from .settings import Settings
from .tokens import SCOPES

CHECK_ALL = "Check that all required parameters have been provided"
GRANT_TEXT = (
    "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token "
    "is invalid, expired, revoked, does not match the redirection URI used in the authorization request, "
    "or was issued to another client."
)
_DESCRIPTIONS = {
    "unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
    "unsupported_response_type": "The authorization server does not support this response type.",
    "invalid_request": (
        "The request is missing a required parameter, includes an invalid parameter value, "
        "includes a parameter more than once, or is otherwise malformed."
    ),
    "invalid_client": "Client authentication failed",
    "invalid_scope": "The requested scope is invalid, unknown, or malformed",
    "invalid_grant": "The user credentials were incorrect.",
    "access_denied": "The resource owner or authorization server denied the request.",
}


def oauth_problem(
    settings: Settings, code: str, *, status: int = 400, hint: str | None = None, text: str | None = None
) -> Problem:
    """Make an OAuth error; the older generation repeats the description as `message`."""
    description = text or _DESCRIPTIONS[code]
    body = {"error": code, "error_description": description}
    if hint:
        body["hint"] = hint
    if settings.league == 8:
        body["message"] = description
    return Problem(status, body)


def bad_parameter(settings: Settings, name: str) -> Problem:
    """Name a parameter that is missing or malformed."""
    return oauth_problem(settings, "invalid_request", hint=f"Check the `{name}` parameter")


def dead_refresh_token(settings: Settings, hint: str) -> Problem:
    """Say that a refresh token is dead in the words of either generation."""
    text = "The refresh token is invalid."
    if settings.league == 8:
        return oauth_problem(settings, "invalid_request", status=401, hint=hint, text=text)
    return oauth_problem(settings, "invalid_grant", hint=hint, text=text)


def dead_code(settings: Settings, hint: str) -> Problem:
    """Say that an authorization code is unknown, expired or used in the words of either generation."""
    if settings.league == 8:
        return oauth_problem(settings, "invalid_request", hint=hint)
    return oauth_problem(settings, "invalid_grant", hint=hint, text=GRANT_TEXT)


def read_scopes(settings: Settings, text: str | None, allowed: frozenset[str] | None = None) -> frozenset[str]:
    """Read the asked scopes, all of them when none is named; `allowed` are those of the token that is refreshed."""
    asked = (text or "").split()
    if not asked:
        return allowed or frozenset({"*"})
    for scope in asked:
        known = scope == "*" or scope in SCOPES
        if not known or (allowed is not None and "*" not in allowed and scope not in allowed):
            raise oauth_problem(settings, "invalid_scope", hint=f"Check the `{scope}` scope")
    return frozenset(asked)
