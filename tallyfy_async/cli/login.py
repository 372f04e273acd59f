"""``python -m tallyfy_async login``: log in with a browser, pick an organization, keep token and choice."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import math
import os
import sys
import threading
import unicodedata
import warnings
import webbrowser
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
from attrs import evolve, field, frozen

from tallyfy_async.auth.authorize import AuthorizationRequest, Flow
from tallyfy_async.auth.logins import AuthorizationCode, ImplicitToken
from tallyfy_async.auth.loopback import LoopbackReceiver
from tallyfy_async.auth.oauth_client import AUTHORIZE_URL, fingerprint
from tallyfy_async.auth.profile import (
    SECRET_VARIABLE,
    Profile,
    StoreKind,
    environment_secret,
    login_directory,
    open_store,
    save_profile,
)
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.cli.exits import ExitCode, code_of
from tallyfy_async.cli.line import Line
from tallyfy_async.cli.output import complain, plain, say, written
from tallyfy_async.client import TallyfyClient
from tallyfy_async.config import BASE_URL
from tallyfy_async.engine.report import Problem
from tallyfy_async.errors import ConfigurationError, RedirectError, TallyfyError, TokenRequestError
from tallyfy_async.models.identity import Organization
from tallyfy_async.protocol.origin import checked_base, checked_url
from tallyfy_async.protocol.redaction import Secret

_PROBE = "is anybody there?"
_PLACES = {"keyring": "in your system's keyring", "file": "in an encrypted file"}
_SECRET_AS_ARGUMENT = f"other users would see it in the list of processes: use --ask-secret, or set {SECRET_VARIABLE}"
_UNPICKED = "logged in, but no organization was picked: log in again, or name one in your program"

Browse = Callable[[str], Any]


def parser() -> Line:
    """Build the command line."""
    line = Line(
        prog="python -m tallyfy_async login",
        description="Log in to Tallyfy with a browser, and keep the token for TallyfyClient.from_login().",
        epilog="Exit status: 0 logged in; 1 failed, or no organization was picked; 2 usage, or a package or key that "
        "is missing; 3 not logged in: denied, too late or refused; 5 not reachable; 130 interrupted.",
        allow_abbrev=False,
    )
    env = os.environ.get
    client = line.add_argument_group("the client that Tallyfy's support has registered")
    client.add_argument(
        "--client-id", default=env("TALLYFY_CLIENT_ID"), help="(default: the variable TALLYFY_CLIENT_ID)"
    )
    client.add_argument("--client-secret", type=_refused_secret, help=argparse.SUPPRESS)
    client.add_argument(
        "--ask-secret", action="store_true", help=f"ask for the client secret (default: the variable {SECRET_VARIABLE})"
    )
    client.add_argument(
        "--flow", choices=("code", "implicit"), default="code", help="implicit is legacy (default: code)"
    )
    client.add_argument("--scope", default="*", help="scopes to ask for (default: *, for all)")
    client.add_argument(
        "--port", type=_port, default=0, help="of the redirect URI http://127.0.0.1:PORT/callback (default: any free)"
    )
    server = line.add_argument_group("the server")
    server.add_argument(
        "--base-url",
        default=env("TALLYFY_BASE_URL") or BASE_URL,
        help=f"of the API (default: the variable TALLYFY_BASE_URL, or {BASE_URL})",
    )
    server.add_argument("--token-url", default=env("TALLYFY_TOKEN_URL"), help="(default: BASE_URL/oauth/token)")
    server.add_argument("--authorize-url", default=AUTHORIZE_URL, help="(default: %(default)s)")
    login = line.add_argument_group("the login")
    login.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    login.add_argument("--timeout", type=_seconds, default=300.0, help="seconds to wait for the browser (default: 300)")
    login.add_argument("--organization", help="its id (default: the only one, or the one you pick)")
    login.add_argument(
        "--store", choices=("file", "keyring"), default="keyring", help="for the token (default: keyring)"
    )
    login.add_argument("--json", action="store_true", help="print the result as JSON, and errors too")
    login.add_argument("--directory", help="for the profile, and for tokens in files (default: your state directory)")
    return line


def _refused_secret(_text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(_SECRET_AS_ARGUMENT)


def _port(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= int(text) <= 65535:
            return int(text)
    raise argparse.ArgumentTypeError("the number of a port is needed")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError("a number of more than 0 is needed")


@frozen(kw_only=True)
class Plan:
    """What is to be done, once everything that can be wrong before the browser opens has been looked at."""

    flow: Flow
    client_id: str
    client_secret: Secret | None
    scope: str | None
    port: int
    base_url: str
    token_url: str
    authorize_url: str
    timeout: float
    organization: str | None
    kind: StoreKind
    directory: str | None
    store: TokenStore
    browse: Browse | None = field(repr=False)

    def request(self, redirect_uri: str) -> AuthorizationRequest:
        """Return the authorization request."""
        shared: dict[str, Any] = {
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "authorize_url": self.authorize_url,
            "scope": self.scope,
        }
        if self.flow == "implicit":
            return AuthorizationRequest.implicit(**shared)
        return AuthorizationRequest.code(**shared, client_secret=self.client_secret)

    def profile(self, login: str) -> Profile:
        """Return what is kept of the login."""
        return Profile(
            base_url=self.base_url,
            token_url=self.token_url,
            client_id=self.client_id,
            confidential=self.client_secret is not None,
            scope=self.scope,
            login=login,
            organization=self.organization,
            store=self.kind,
        )


def main(arguments: Sequence[str] | None = None, *, browse: Browse = webbrowser.open) -> int:
    """Log in; return the exit status. ``browse`` opens an address in the user's browser."""
    options = parser().parse_args(arguments)
    fail = partial(complain, as_json=options.json)
    try:
        return _run(_plan(options, browse), as_json=options.json)
    except KeyboardInterrupt:
        status = ExitCode.INTERRUPTED
        fail("interrupted", Problem(kind="Interrupted", message="interrupted"), status)
    except TallyfyError as error:
        status = code_of(error)
        fail(_told(error), error, status)
    return status


def _told(error: TallyfyError) -> str:
    if isinstance(error, ConfigurationError | TokenRequestError):  # they tell what to do
        return str(error)
    return (
        f"not logged in: {error}"
        if isinstance(error, RedirectError)
        else f"not logged in: {type(error).__name__}: {error}"
    )


def _plan(options: argparse.Namespace, browse: Browse) -> Plan:
    if not options.client_id:
        msg = "name the client: --client-id, or the variable TALLYFY_CLIENT_ID"
        raise ConfigurationError(msg)
    base_url = checked_base("base_url", options.base_url)
    return Plan(
        flow=options.flow,
        client_id=options.client_id,
        client_secret=_client_secret(options),
        scope=options.scope or None,
        port=options.port,
        base_url=base_url,
        token_url=checked_url("token_url", options.token_url or f"{base_url}/oauth/token"),
        authorize_url=options.authorize_url,
        timeout=options.timeout,
        organization=options.organization,
        kind=options.store,
        directory=options.directory,
        store=open_store(options.store, options.directory),
        browse=None if options.no_browser else browse,
    )


def _client_secret(options: argparse.Namespace) -> Secret | None:
    if options.flow == "implicit":
        return None
    if not options.ask_secret:
        return environment_secret()
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            given = getpass.getpass("Client secret: ")
        except (getpass.GetPassWarning, EOFError):
            msg = f"there is no terminal that can hide what is typed: set {SECRET_VARIABLE}"
            raise ConfigurationError(msg) from None
    return Secret(given) if given else None


def _run(plan: Plan, *, as_json: bool) -> int:
    """Log in, then ask which organization: outside of the event loop, so that Ctrl-C works at the prompt."""
    with _standard_output_to_ourselves():
        landed = anyio.run(_log_in, plan)
    organization = plan.organization or _choose(landed.organizations or [])
    profile = evolve(landed.profile, organization=organization)
    path = save_profile(profile, plan.directory)
    if organization is None and landed.organizations != []:
        problem = Problem(kind="ConfigurationError", message=_UNPICKED)
        complain(_UNPICKED, problem, ExitCode.FAILED, as_json=as_json)
        return ExitCode.FAILED
    whole = {"logged_in": True, "organization": organization, "base_url": profile.base_url, "profile": str(path)}
    whole |= {"store": profile.store, "client_secret_needed": profile.confidential}
    text = json.dumps(whole, indent=2) + "\n" if as_json else _summary(plan, profile, path)
    return written(text, as_json=as_json)


@contextlib.contextmanager
def _standard_output_to_ourselves() -> Generator[None, None, None]:
    """Let what a browser prints go to standard error, and let no browser hold a pipe of ours open while it runs."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is a test's
            if sys.stdout.fileno() == 1:
                ours = os.dup(1)
                stack.callback(os.close, ours)
                os.dup2(2, 1)
                stack.callback(os.dup2, ours, 1)
        yield


@frozen(kw_only=True)
class _Landed:
    profile: Profile
    organizations: list[Organization] | None
    """None where they could not be listed."""


async def _log_in(plan: Plan) -> _Landed:
    await plan.store.load(_PROBE)  # a keyring that is locked or absent says so before the browser opens
    async with LoopbackReceiver(port=plan.port, flow=plan.flow, timeout=plan.timeout) as receiver:
        request = plan.request(receiver.redirect_uri)
        _send_to_browser(plan, request.url)
        redirect = await receiver.receive(partial(_is_ours, request))
    grant = request.redeem(redirect)
    profile = plan.profile(_login_name(grant))
    auth = profile.grant(plan.client_secret) if isinstance(grant, ImplicitToken) else grant
    async with TallyfyClient(auth, base_url=plan.base_url, token_url=plan.token_url, token_store=plan.store) as tallyfy:
        if isinstance(grant, ImplicitToken):
            await tallyfy.tokens.adopt(grant.token)
        await tallyfy.tokens.get()
        save_profile(profile, plan.directory)  # from here on the login is not lost, whatever comes
        found = [] if plan.organization else await _organizations(tallyfy)
    return _Landed(profile=profile, organizations=found)


async def _organizations(tallyfy: TallyfyClient) -> list[Organization] | None:
    try:
        return await tallyfy.organizations.list().collect()
    except TallyfyError as error:
        say(f"your organizations could not be listed: {error}")
        return None


def _login_name(grant: AuthorizationCode | ImplicitToken) -> str:
    return grant.login if isinstance(grant, AuthorizationCode) else fingerprint(grant.access_token)


def _is_ours(request: AuthorizationRequest, redirect: Secret) -> bool:
    ours = request.recognizes(redirect)
    if not ours:
        say("refused an answer whose state is not the one of this login; still waiting")
    return ours


def _send_to_browser(plan: Plan, url: str) -> None:
    if plan.browse is None:
        say(f"Open this address in a browser on this machine:\n{url}")
    else:
        say(f"Opening your browser. If nothing happens, open this address:\n{url}")
        # A browser of the terminal runs until it is left, and nobody should have to wait for that.
        threading.Thread(target=_browse, args=(plan.browse, url), daemon=True).start()
    say(f"Waiting up to {plan.timeout:g} s for your answer there; Ctrl-C ends it.")


def _browse(browse: Browse, url: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):
        browse(url)


def _choose(organizations: Sequence[Organization]) -> str | None:
    """Return the id of the only organization, or of the one that the user picks; None where none is picked."""
    if len(organizations) < 2:
        return organizations[0].id if organizations else None
    rows = [f"  {number}  {plain(one.name)} ({plain(one.id)})" for number, one in enumerate(organizations, 1)]
    say("\n".join([f"You belong to {len(organizations)} organizations:", *rows]))
    places = {str(number): one.id for number, one in enumerate(organizations, 1)}
    while True:
        sys.stderr.write(f"Which one? [1-{len(organizations)}] ")
        sys.stderr.flush()
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if not line:
            return None
        if (found := places.get(_number(line))) is not None:
            return found


def _number(line: str) -> str:
    """Return a number in the signs of any script as 1, 2, 3 would be written, other text as it is."""
    text = line.strip()
    return "".join(str(unicodedata.decimal(sign)) for sign in text).lstrip("0") if text.isdecimal() else text


def _summary(plan: Plan, profile: Profile, path: Path) -> str:
    place = "" if plan.directory is None else repr(str(login_directory(plan.directory)))
    organization = f", organization {plain(profile.organization)}" if profile.organization else ""
    needs = f"\nIt reads the client secret from {SECRET_VARIABLE}." if profile.confidential else ""
    keys = "\nIt reads the key of the token file from TALLYFY_TOKEN_KEYS." if profile.store == "file" else ""
    return (
        f"Logged in{organization}.\n"
        f"The token is {_PLACES[profile.store]}; what belongs to it is in {path}.\n"
        f"In Python: TallyfyClient.from_login({place}){needs}{keys}\n"
    )
