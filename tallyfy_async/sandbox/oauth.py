"""The token endpoint, as Laravel Passport over league/oauth2-server answers (identity.md section 2, seeds 000-003)."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from attrs import frozen

from .clients import Client
from .exchange import Incoming, Reply, json_reply
from .oauth_problems import (
    CHECK_ALL,
    GRANT_TEXT,
    bad_parameter,
    dead_code,
    dead_refresh_token,
    oauth_problem,
    read_scopes,
)
from .problems import Problem, endpoint_not_found
from .records import JsonObject, User
from .router import Call, Routes
from .settings import Settings
from .tokens import AccessToken, AuthorizationCode, RefreshToken

routes = Routes()
Form = Mapping[str, str]
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")


@routes.add("POST", "/oauth/token", "create_token", scope="none", context="none", scoped=False)
def create_token(call: Call) -> Reply:
    """Exchange a grant for tokens."""
    form = read_form(call.incoming, call.settings)
    grant = form.get("grant_type")
    if grant is None or grant not in _GRANTS:
        raise oauth_problem(call.settings, "unsupported_grant_type", hint=CHECK_ALL)
    return _GRANTS[grant](call, form, _client(call, form, grant))


@routes.add("POST", "/oauth/token/refresh", "refresh_token", scope="none", context="none", scoped=False)
def refresh_token(call: Call) -> Reply:
    """Refresh on the path that seed 000 announces; a browser route of Passport answers a cookie page instead."""
    if call.settings.refresh_path == "off":
        raise endpoint_not_found()
    if call.settings.refresh_path == "cookie":
        return Reply(body=b"Refreshed.", content_type="text/html; charset=UTF-8")
    form = read_form(call.incoming, call.settings)
    return _refresh(call, form, _client(call, form, "refresh_token"))


def read_form(incoming: Incoming, settings: Settings) -> dict[str, str]:
    """Read the fields of a token request in the encodings that the settings allow; nothing else is seen as input."""
    content = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content == "application/x-www-form-urlencoded" and settings.body_encoding in {"form", "any"}:
        return dict(parse_qsl(incoming.body.decode("utf-8", "replace"), keep_blank_values=True))
    if content == "application/json" and settings.body_encoding in {"json", "any"}:
        return _texts(incoming.json_object())
    return {}


@frozen(kw_only=True)
class Presented:
    """What a token request carried, for the statistics."""

    grant: str
    refresh_token: str | None
    code: str | None


def presented(incoming: Incoming, settings: Settings) -> Presented:
    """Return what a token request carries."""
    form = read_form(incoming, settings) or _texts(incoming.json_object())
    return Presented(
        grant=form.get("grant_type") or "unknown", refresh_token=form.get("refresh_token"), code=form.get("code")
    )


def _texts(data: JsonObject) -> dict[str, str]:
    return {name: value for name, value in data.items() if isinstance(value, str)}


def _client(call: Call, form: Form, grant: str) -> Client:
    """Authenticate the application. Both wordings of the sources are settings; ids that are not numeric fail early."""
    client_id, secret = _client_fields(call, form)
    if client_id is None:
        raise bad_parameter(call.settings, "client_id")
    if not client_id.isdigit():
        raise Problem(401, {"error": "invalid_client"})
    client = call.world.clients.get(client_id)
    if client is None or not client.admits(secret, grant):
        problem = oauth_problem(call.settings, "invalid_client", status=401)
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


def _password(call: Call, form: Form, client: Client) -> Reply:
    scopes = read_scopes(call.settings, form.get("scope"))
    for name in ("username", "password"):
        if not form.get(name):
            raise bad_parameter(call.settings, name)
    user = _login(call, form["username"], form["password"])
    return _pair(call, client, user, scopes, user.home)


def _login(call: Call, username: str, password: str) -> User:
    user = call.world.authenticate(username, password)
    if user is None or call.world.tenants[user.home].members[user.id].status != "active":
        raise oauth_problem(call.settings, "invalid_grant")
    return user


def _application(call: Call, form: Form, client: Client) -> Reply:
    life = call.settings.application_life
    scopes = read_scopes(call.settings, form.get("scope"))
    access = call.world.vault.issue(
        "application",
        user_id=None,
        organization=client.organization,
        client_id=client.id,
        scopes=scopes,
        now=call.world.clock(),
        life=life,
    )
    return token_reply(access, None, life)


def _refresh(call: Call, form: Form, client: Client) -> Reply:
    """Rotate without a grace window: the old access token dies first, then the refresh token, then the pair is new."""
    if not form.get("refresh_token"):
        raise bad_parameter(call.settings, "refresh_token")
    old = _living(call, form["refresh_token"], client)
    scopes = read_scopes(call.settings, form.get("scope"), old.access.scopes)
    settings = call.settings
    if settings.revoke_old_access_on_refresh:
        old.access.revoked = True
    user = call.world.users[old.access.user_id or 0]
    keep = not settings.rotate_refresh or not settings.refresh_returns_refresh_token
    if not keep:
        old.spent = True
        return _pair(call, client, user, scopes, old.access.organization)
    access = _issue(call, client, user, scopes, old.access.organization)
    old.access = access
    return token_reply(access, old.value if settings.refresh_returns_refresh_token else None, settings.access_life)


def _living(call: Call, value: str, client: Client) -> RefreshToken:
    token = call.world.vault.refresh.get(value)
    if token is None:
        raise dead_refresh_token(call.settings, "Cannot decrypt the refresh token")
    if token.access.client_id != client.id:
        raise dead_refresh_token(call.settings, "Token is not linked to client")
    if call.world.clock() >= token.expires_at:
        raise dead_refresh_token(call.settings, "Token has expired")
    if token.spent:
        raise dead_refresh_token(call.settings, "Token has been revoked")
    return token


def _code(call: Call, form: Form, client: Client) -> Reply:
    """Trade an authorization code in. Only success spends it: a wrong verifier leaves it alive, as league does."""
    if not form.get("code"):
        raise bad_parameter(call.settings, "code")
    code = _usable(call, form, client)
    _verify(call.settings, code, form.get("code_verifier"))
    code.spent = True
    return _pair(call, client, call.world.users[code.user_id], code.scopes, code.organization)


def _usable(call: Call, form: Form, client: Client) -> AuthorizationCode:
    """Find a code in league's order of checks: known, young, unused, of this client, for this redirect URI."""
    settings, code = call.settings, call.world.vault.codes.get(form["code"])
    if code is None:
        newer = "Cannot validate the provided authorization code"
        raise dead_code(settings, "Cannot decrypt the authorization code" if settings.league == 8 else newer)
    if call.world.clock() > code.expires_at:
        raise dead_code(settings, "Authorization code has expired")
    if code.spent:
        raise dead_code(settings, "Authorization code has been revoked")
    if code.client_id != client.id:
        raise oauth_problem(settings, "invalid_request", hint="Authorization code was not issued to this client")
    if not form.get("redirect_uri"):
        raise bad_parameter(settings, "redirect_uri")
    if form["redirect_uri"] != code.redirect_uri:
        raise oauth_problem(settings, "invalid_request", hint="Invalid redirect URI")
    return code


def _verify(settings: Settings, code: AuthorizationCode, verifier: str | None) -> None:
    """Check the PKCE verifier; one that nobody asked for is refused, against downgrades."""
    if code.challenge is None:
        if verifier:
            hint = "code_verifier received when no code_challenge is present"
            raise oauth_problem(settings, "invalid_request", hint=hint)
        return
    if not verifier:
        raise bad_parameter(settings, "code_verifier")
    if not _VERIFIER.match(verifier):
        hint = "Code Verifier must follow the specifications of RFC-7636."
        raise oauth_problem(settings, "invalid_request", hint=hint)
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    if not hmac.compare_digest(digest, code.challenge.encode()):
        raise oauth_problem(settings, "invalid_grant", hint="Failed to verify `code_verifier`.", text=GRANT_TEXT)


def _issue(call: Call, client: Client, user: User, scopes: frozenset[str], organization: str) -> AccessToken:
    return call.world.vault.issue(
        "user",
        user_id=user.id,
        organization=organization,
        client_id=client.id,
        scopes=scopes,
        now=call.world.clock(),
        life=call.settings.access_life,
    )


def _pair(call: Call, client: Client, user: User, scopes: frozenset[str], organization: str) -> Reply:
    access = _issue(call, client, user, scopes, organization)
    refresh = call.world.vault.issue_refresh(access, now=call.world.clock(), life=call.settings.refresh_life)
    return token_reply(access, refresh.value, call.settings.access_life)


def token_reply(access: AccessToken, refresh: str | None, life: float) -> Reply:
    """Answer with tokens, never in a `data` envelope and never to be cached."""
    data: dict[str, object] = {"token_type": "Bearer", "expires_in": int(life), "access_token": access.value}
    if refresh is not None:
        data["refresh_token"] = refresh
    return json_reply(data, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


_GRANTS = {
    "password": _password,
    "client_credentials": _application,
    "refresh_token": _refresh,
    "authorization_code": _code,
}
