"""The token endpoint, as Laravel Passport over league/oauth2-server answers (identity.md section 2, seeds 000-003)."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .exchange import Incoming, Reply, json_reply
from .problems import Problem, endpoint_not_found
from .records import JsonObject, User
from .router import Call, Routes
from .settings import Settings
from .tokens import SCOPES, AccessToken, RefreshToken
from .world import Client

routes = Routes()
Form = Mapping[str, str]
_CHECK_ALL = "Check that all required parameters have been provided"
_DESCRIPTIONS = {
    "unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
    "invalid_request": (
        "The request is missing a required parameter, includes an invalid parameter value, "
        "includes a parameter more than once, or is otherwise malformed."
    ),
    "invalid_client": "Client authentication failed",
    "invalid_scope": "The requested scope is invalid, unknown, or malformed",
    "invalid_grant": "The user credentials were incorrect.",
}


@routes.add("POST", "/oauth/token", "create_token", scope="none", context="none", scoped=False)
def create_token(call: Call) -> Reply:
    """Exchange a grant for tokens."""
    form = read_form(call.incoming, call.settings)
    grant = form.get("grant_type")
    if grant not in {"password", "client_credentials", "refresh_token"}:
        raise _error(call.settings, "unsupported_grant_type", hint=_CHECK_ALL)
    client = _client(call, form)
    if grant == "password":
        return _password(call, form, client)
    if grant == "client_credentials":
        return _application(call, form, client)
    return _refresh(call, form, client)


@routes.add("POST", "/oauth/token/refresh", "refresh_token", scope="none", context="none", scoped=False)
def refresh_token(call: Call) -> Reply:
    """Refresh on the path that seed 000 announces; a browser route of Passport answers a cookie page instead."""
    if call.settings.refresh_path == "off":
        raise endpoint_not_found()
    if call.settings.refresh_path == "cookie":
        return Reply(body=b"Refreshed.", content_type="text/html; charset=UTF-8")
    form = read_form(call.incoming, call.settings)
    return _refresh(call, form, _client(call, form))


def read_form(incoming: Incoming, settings: Settings) -> dict[str, str]:
    """Read the fields of a token request in the encodings that the settings allow; nothing else is seen as input."""
    content = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content == "application/x-www-form-urlencoded" and settings.body_encoding in {"form", "any"}:
        return dict(parse_qsl(incoming.body.decode("utf-8", "replace"), keep_blank_values=True))
    if content == "application/json" and settings.body_encoding in {"json", "any"}:
        return _texts(incoming.json_object())
    return {}


def presented(incoming: Incoming, settings: Settings) -> tuple[str, str | None]:
    """Return grant type and refresh token of a token request, for the statistics."""
    form = read_form(incoming, settings) or _texts(incoming.json_object())
    return form.get("grant_type") or "unknown", form.get("refresh_token")


def _texts(data: JsonObject) -> dict[str, str]:
    return {name: value for name, value in data.items() if isinstance(value, str)}


def _error(
    settings: Settings, code: str, *, status: int = 400, hint: str | None = None, text: str | None = None
) -> Problem:
    description = text or _DESCRIPTIONS[code]
    body = {"error": code, "error_description": description}
    if hint:
        body["hint"] = hint
    if settings.league == 8:
        body["message"] = description
    return Problem(status, body)


def _client(call: Call, form: Form) -> Client:
    """Authenticate the application. Both wordings of the sources are settings; ids that are not numeric fail early."""
    client_id, secret = _client_fields(call, form)
    if client_id is None:
        raise _error(call.settings, "invalid_request", hint="Check the `client_id` parameter")
    if not client_id.isdigit():
        raise Problem(401, {"error": "invalid_client"})
    client = call.world.clients.get(client_id)
    if client is None or not hmac.compare_digest(client.secret.encode(), (secret or "").encode()):
        problem = _error(call.settings, "invalid_client", status=401)
        if "authorization" in call.incoming.headers:
            problem.headers["WWW-Authenticate"] = 'Basic realm="OAuth"'
        raise problem
    return client


def _client_fields(call: Call, form: Form) -> tuple[str | None, str | None]:
    where, headers = call.settings.client_auth, call.incoming.headers
    if where in {"body", "any"} and form.get("client_id"):
        return form["client_id"], form.get("client_secret")
    if where == "body":
        return None, None
    if headers.get("authorization", "").lower().startswith("basic "):
        return _basic(headers["authorization"][6:])
    client_id = headers.get("client_id") or headers.get("client-id")
    return client_id, headers.get("client_secret") or headers.get("client-secret")


def _basic(text: str) -> tuple[str | None, str | None]:
    try:
        name, _, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return name or None, secret


def _scopes(call: Call, form: Form, allowed: frozenset[str] | None = None) -> frozenset[str]:
    """Read the asked scopes; `allowed` are those of the token that is refreshed."""
    asked = form.get("scope", "").split()
    if not asked:
        return allowed or frozenset({"*"})
    for scope in asked:
        known = scope == "*" or scope in SCOPES
        if not known or (allowed is not None and "*" not in allowed and scope not in allowed):
            raise _error(call.settings, "invalid_scope", hint=f"Check the `{scope}` scope")
    return frozenset(asked)


def _password(call: Call, form: Form, client: Client) -> Reply:
    scopes = _scopes(call, form)
    for name in ("username", "password"):
        if not form.get(name):
            raise _error(call.settings, "invalid_request", hint=f"Check the `{name}` parameter")
    user = _login(call, form["username"], form["password"])
    return _pair(call, client, user, scopes)


def _login(call: Call, username: str, password: str) -> User:
    for user in call.world.users.values():
        if user.email == username.lower() and hmac.compare_digest(user.password.encode(), password.encode()):
            member = call.world.tenants[user.home].members[user.id]
            if member.status == "active":
                return user
    raise _error(call.settings, "invalid_grant")


def _application(call: Call, form: Form, client: Client) -> Reply:
    life = call.settings.application_life
    scopes = _scopes(call, form)
    access = call.world.vault.issue(
        "application",
        user_id=None,
        organization=client.organization,
        client_id=client.id,
        scopes=scopes,
        now=call.world.clock(),
        life=life,
    )
    return _tokens(access, None, life)


def _refresh(call: Call, form: Form, client: Client) -> Reply:
    """Rotate without a grace window: the old access token dies first, then the refresh token, then the pair is new."""
    if not form.get("refresh_token"):
        raise _error(call.settings, "invalid_request", hint="Check the `refresh_token` parameter")
    old = _living(call, form["refresh_token"], client)
    scopes = _scopes(call, form, old.access.scopes)
    settings = call.settings
    if settings.revoke_old_access_on_refresh:
        old.access.revoked = True
    user = call.world.users[old.access.user_id or 0]
    keep = not settings.rotate_refresh or not settings.refresh_returns_refresh_token
    if not keep:
        old.spent = True
        return _pair(call, client, user, scopes)
    access = _issue(call, client, user, scopes)
    old.access = access
    return _tokens(access, old.value if settings.refresh_returns_refresh_token else None, settings.access_life)


def _living(call: Call, value: str, client: Client) -> RefreshToken:
    token = call.world.vault.refresh.get(value)
    if token is None:
        raise _dead(call.settings, "Cannot decrypt the refresh token")
    if token.access.client_id != client.id:
        raise _dead(call.settings, "Token is not linked to client")
    if call.world.clock() >= token.expires_at:
        raise _dead(call.settings, "Token has expired")
    if token.spent:
        raise _dead(call.settings, "Token has been revoked")
    return token


def _dead(settings: Settings, hint: str) -> Problem:
    """Say that a refresh token is dead in the words of either generation of the OAuth server."""
    text = "The refresh token is invalid."
    if settings.league == 8:
        return _error(settings, "invalid_request", status=401, hint=hint, text=text)
    return _error(settings, "invalid_grant", hint=hint, text=text)


def _issue(call: Call, client: Client, user: User, scopes: frozenset[str]) -> AccessToken:
    return call.world.vault.issue(
        "user",
        user_id=user.id,
        organization=user.home,
        client_id=client.id,
        scopes=scopes,
        now=call.world.clock(),
        life=call.settings.access_life,
    )


def _pair(call: Call, client: Client, user: User, scopes: frozenset[str]) -> Reply:
    access = _issue(call, client, user, scopes)
    refresh = call.world.vault.issue_refresh(access, now=call.world.clock(), life=call.settings.refresh_life)
    return _tokens(access, refresh.value, call.settings.access_life)


def _tokens(access: AccessToken, refresh: str | None, life: float) -> Reply:
    data: dict[str, object] = {"token_type": "Bearer", "expires_in": int(life), "access_token": access.value}
    if refresh is not None:
        data["refresh_token"] = refresh
    return json_reply(data, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
