"""The authorization page, which a browser visits (contract: authorize; seed 003; RFC 6749, 7636, 8252, 9207).

A request that names no known client, or an address that is not registered for it, gets an error page: nobody is sent
to an address that was not checked. Every other end of the visit is a redirect. The visit is kept in one signed hidden
field, so that the page needs no cookie.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from attrs import frozen

from . import pages
from .clients import Client
from .exchange import Incoming, Reply, json_reply
from .oauth_problems import bad_parameter, oauth_problem, read_scopes
from .problems import Problem, endpoint_not_found
from .records import JsonObject, User
from .router import Call, Routes

PATH = "/oauth/authorize"
FORM_LIFE = 1800.0
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")

routes = Routes()
forms = Routes()
"""What the page's own forms send: no operation of the contract."""


class _Refused(Exception):  # noqa: N818 - it is an answer, not an error of the program
    """Stop with an error page."""


@frozen(kw_only=True)
class _WayBack:
    """The checked address of the client, and what every answer there carries."""

    redirect_uri: str
    fragment: bool
    state: str | None
    issuer: str | None

    def send(self, values: Mapping[str, object], outcome: str) -> Reply:
        """Redirect the browser with an answer."""
        fixed = {"state": self.state, "iss": self.issuer}
        pairs = {**values, **{name: value for name, value in fixed.items() if value is not None}}
        mark = "#" if self.fragment else "&" if "?" in self.redirect_uri else "?"
        headers = {"Location": f"{self.redirect_uri}{mark}{urlencode(pairs)}", "Cache-Control": "no-store"}
        return Reply(
            status=302, content_type=None, headers={**headers, "Referrer-Policy": "no-referrer"}, outcome=outcome
        )


@frozen(kw_only=True)
class _Asked:
    """A sound authorization request."""

    client: Client
    back: _WayBack
    response_type: str
    scopes: frozenset[str]
    challenge: str | None


@routes.add("GET", PATH, "authorize", scope="none", context="none", scoped=False)
def authorize(call: Call) -> Reply:
    """Show the login form."""
    return _visit(call, lambda asked: _login_page(call, asked))


@forms.add("POST", PATH, "submit_authorization", scope="none", context="none", scoped=False)
def submit_authorization(call: Call) -> Reply:
    """Take the login form, then the consent form."""
    return _visit(call, lambda asked: _submitted(call, asked))


def _visit(call: Call, answer: Callable[[_Asked], Reply]) -> Reply:
    """Check the request and answer it. Failures go to the client's address as soon as that is known to be good."""
    if call.incoming.prefixed:
        raise endpoint_not_found()
    pairs = parse_qsl(call.incoming.query_string)
    values = dict(pairs)
    repeated = {name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1}
    try:
        client, back = _addressee(call, values, repeated)
    except _Refused as refused:
        return _refusal(call.incoming, str(refused))
    try:
        return answer(_asked(call, values, repeated, client, back))
    except Problem as problem:
        return back.send(problem.body, str(problem.body["error"]))


def _refusal(incoming: Incoming, reason: str) -> Reply:
    """Show the error page; programs that want JSON get the body that the contract prints."""
    accept = incoming.headers.get("accept", "")
    if "application/json" in accept and "text/html" not in accept:
        return json_reply({"error": "invalid_client", "error_description": reason}, 400)
    return pages.refusal(reason)


def _addressee(call: Call, values: Mapping[str, str], repeated: set[str]) -> tuple[Client, _WayBack]:
    """Find the client and the address to which answers may go."""
    if repeated & {"client_id", "redirect_uri"}:
        raise _Refused("The request names its client or its redirect URI twice.")
    client = call.world.clients.get(values.get("client_id", ""))
    if client is None:
        raise _Refused("The application that sent you here is not registered: its client id is unknown.")
    uri = values.get("redirect_uri", "")
    if not client.returns_to(uri):
        raise _Refused("The redirect URI of this request is not one that the application has registered.")
    implicit = values.get("response_type") == "token" and "response_type" not in repeated
    back = _WayBack(
        redirect_uri=uri,
        fragment=implicit and call.settings.implicit_delivery == "fragment",
        state=None if "state" in repeated else values.get("state"),
        issuer=call.incoming.origin if call.settings.send_iss else None,
    )
    return client, back


def _asked(call: Call, values: Mapping[str, str], repeated: set[str], client: Client, back: _WayBack) -> _Asked:
    settings, response_type = call.settings, values.get("response_type")
    if repeated or response_type is None:
        raise bad_parameter(settings, min(repeated, default="response_type"))
    if response_type not in {"code", "token"}:
        raise oauth_problem(settings, "unsupported_response_type")
    return _Asked(
        client=client,
        back=back,
        response_type=response_type,
        scopes=read_scopes(settings, values.get("scope")),
        challenge=_challenge(call, values, client) if response_type == "code" else None,
    )


def _challenge(call: Call, values: Mapping[str, str], client: Client) -> str | None:
    """Read the PKCE challenge: S256 only, and never missing where the client has no secret (seed 003, RFC 7636)."""
    challenge = values.get("code_challenge")
    if challenge is None:
        if client.public:
            hint = "Code challenge must be provided for public clients"
            raise oauth_problem(call.settings, "invalid_request", hint=hint)
        if call.settings.require_pkce or "code_challenge_method" in values:
            raise bad_parameter(call.settings, "code_challenge")
        return None
    if values.get("code_challenge_method", "plain") != "S256":
        hint = "Code challenge method must be one of `S256`"
        raise oauth_problem(call.settings, "invalid_request", hint=hint)
    if not _CHALLENGE.match(challenge):
        hint = "Code challenge must follow the specifications of RFC-7636."
        raise oauth_problem(call.settings, "invalid_request", hint=hint)
    return challenge


def _submitted(call: Call, asked: _Asked) -> Reply:
    form = _fields(call.incoming)
    ticket = _ticket(call, form.get("form", ""))
    if ticket is None:
        return _login_page(call, asked, message="This form has expired. Please log in again.", outcome="expired")
    if form.get("action") == "deny":
        raise oauth_problem(call.settings, "access_denied", hint="The user denied the request")
    user = call.world.users.get(ticket["user"])
    if user is None:
        return _logged_in(call, asked, form)
    places = {tenant.id for tenant in call.world.places(user)}
    if form.get("action") != "allow" or form.get("organization") not in places:
        return _consent_page(call, asked, user, message="Please choose one of your organizations.")
    return _granted(call, asked, user, form["organization"])


def _logged_in(call: Call, asked: _Asked, form: Mapping[str, str]) -> Reply:
    email = form.get("email", "").strip()
    user = call.world.authenticate(email, form.get("password", ""))
    if user is None:
        message = "The email or the password is wrong."
        return _login_page(call, asked, email=email, message=message, outcome="wrong_password")
    return _consent_page(call, asked, user)


def _login_page(
    call: Call, asked: _Asked, *, email: str = "", message: str | None = None, outcome: str = "login"
) -> Reply:
    form = _sign(call, None)
    return pages.login(client=asked.client.name, form=form, email=email, message=message, outcome=outcome)


def _consent_page(call: Call, asked: _Asked, user: User, *, message: str | None = None) -> Reply:
    places = call.world.places(user)
    if not places:
        message = "You are not an active member of any organization."
        return _login_page(call, asked, email=user.email, message=message, outcome="no_organization")
    return pages.consent(
        client=asked.client.name,
        form=_sign(call, user),
        email=user.email,
        organizations=[(tenant.id, tenant.name) for tenant in places],
        scopes=asked.scopes,
        message=message,
    )


def _granted(call: Call, asked: _Asked, user: User, organization: str) -> Reply:
    """Send a code or a token, tied to the chosen organization."""
    vault, now, client = call.world.vault, call.world.clock(), asked.client
    if asked.response_type == "code":
        code = vault.issue_code(
            client_id=client.id,
            redirect_uri=asked.back.redirect_uri,
            user_id=user.id,
            organization=organization,
            scopes=asked.scopes,
            challenge=asked.challenge,
            expires_at=now + call.settings.code_life,
        )
        return asked.back.send({"code": code.value}, "code")
    life = call.settings.implicit_life
    token = vault.issue(
        "implicit",
        user_id=user.id,
        organization=organization,
        client_id=client.id,
        scopes=asked.scopes,
        now=now,
        life=life,
    )
    answer = {"access_token": token.value, "token_type": "Bearer", "expires_in": int(life)}
    return asked.back.send(answer, "token")


def _fields(incoming: Incoming) -> dict[str, str]:
    content = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content != "application/x-www-form-urlencoded":
        return {}
    return dict(parse_qsl(incoming.body.decode("utf-8", "replace"), keep_blank_values=True))


def _sign(call: Call, user: User | None) -> str:
    """Write the hidden field: which request it belongs to, when it was made, and who logged in meanwhile."""
    who = None if user is None else user.id
    return call.world.signer.sign({"request": _request_id(call), "at": call.world.clock(), "user": who})


def _ticket(call: Call, text: str) -> JsonObject | None:
    """Read the hidden field; None when it is forged, old, or of another request."""
    ticket: dict[str, Any] | None = call.world.signer.read(text)
    if ticket is None or ticket["request"] != _request_id(call):
        return None
    return ticket if call.world.clock() - ticket["at"] <= FORM_LIFE else None


def _request_id(call: Call) -> str:
    return hashlib.sha256(call.incoming.query_string.encode()).hexdigest()
