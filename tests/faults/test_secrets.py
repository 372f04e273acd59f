"""No secret in logs of any logger at DEBUG, in reprs, errors, pickles, or tracebacks with local variables."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest

from tallyfy_async import (
    AuthError,
    AuthorizationCode,
    ClientCredentials,
    ImplicitToken,
    MemoryStore,
    OnBehalfOf,
    StaticToken,
    TallyfyError,
    Token,
)
from tallyfy_async.auth.oauth_client import OAuthClient
from tallyfy_async.sandbox import Fault, Rule, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import connected, earlier_login, login, me, served

pytestmark = pytest.mark.anyio
_PIECE = 24


def pieces(sandbox: Sandbox) -> set[str]:
    """Return texts that show any part of any secret of the sandbox."""
    known = sandbox.credentials
    found = {known.client_secret, known.password, known.personal_token[-_PIECE:]}
    for secret in [*sandbox.world.vault.access, *sandbox.world.vault.refresh]:
        # The head of a web token names its algorithm only.
        found |= {secret[at : at + _PIECE] for at in range(60, len(secret) - _PIECE, _PIECE)}
    return found


def chain(error: BaseException) -> Iterator[BaseException]:
    """Walk to every cause and context, also those that a traceback would not print."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__]


def shown(error: BaseException) -> str:
    """Return all that crash reports show of an error and of everything behind it."""
    parts: list[str] = []
    for one in chain(error):
        report = traceback.TracebackException.from_exception(one, capture_locals=True)
        parts += [*report.format(chain=True), str(one), repr(one), repr(one.__dict__), repr(one.args)]
        parts += [*getattr(one, "__notes__", []), repr(getattr(one, "doc", "")), repr(getattr(one, "object", ""))]
    parts.append(repr(pickle.dumps(error)))
    return "\n".join(parts)


def leaks(text: str, secrets: set[str]) -> list[str]:
    """Return the lines that hold a secret, cut short."""
    return [line[:200] for line in text.splitlines() if any(secret in line for secret in secrets)]


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture all loggers at DEBUG."""
    for name in ["", "tallyfy_async", "httpx", "httpcore", "hpack", "asyncio", *logging.root.manager.loggerDict]:
        caplog.set_level(logging.DEBUG, name)
    return caplog


Story = Callable[[Sandbox, ManualClock], Awaitable[list[BaseException]]]


async def failing(call: Callable[[], Awaitable[object]]) -> list[BaseException]:
    """Return the error that a call must raise."""
    with pytest.raises(TallyfyError) as caught:
        await call()
    return [caught.value]


async def refresh_with(sandbox: Sandbox, clock: ManualClock, fault: Fault | Rule) -> list[BaseException]:
    """Refresh through a fault, with a grant that has nothing else, and say what came of it."""
    if isinstance(fault, Fault):
        auth, store = await earlier_login(sandbox, clock)
        sandbox.faults.add(fault)
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            return [*await failing(lambda: me(tallyfy)), *await failing(lambda: me(tallyfy))]
    with sandbox.proxy(fault) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url)
        settings = {"base_url": proxy.url, "clock": clock, "token_store": store}
        async with connected(sandbox, auth, **settings) as tallyfy:
            return [*await failing(lambda: me(tallyfy)), *await failing(lambda: me(tallyfy))]


async def call_with(sandbox: Sandbox, clock: ManualClock, fault: Fault | Rule) -> list[BaseException]:
    """Call through a lasting fault."""
    if isinstance(fault, Fault):
        sandbox.faults.add(fault)
        async with connected(sandbox, clock=clock) as tallyfy:
            return await failing(lambda: me(tallyfy))
    with sandbox.proxy(fault) as proxy:
        async with connected(sandbox, clock=clock, base_url=proxy.url) as tallyfy:
            return await failing(lambda: me(tallyfy))


def token_fault(**how: Any) -> Story:
    """Return a story of a refresh that is answered wrongly."""
    return lambda sandbox, clock: refresh_with(sandbox, clock, Fault(operation="create_token", times=None, **how))


def token_accident(**how: Any) -> Story:
    """Return a story of a refresh that meets an accident on the wire."""
    return lambda sandbox, clock: refresh_with(sandbox, clock, Rule(path="/api/oauth/token", times=None, **how))


def call_fault(**how: Any) -> Story:
    """Return a story of a call that is answered wrongly."""
    return lambda sandbox, clock: call_with(sandbox, clock, Fault(operation="get_me", times=None, **how))


def call_accident(**how: Any) -> Story:
    """Return a story of a call that meets an accident on the wire."""
    return lambda sandbox, clock: call_with(sandbox, clock, Rule(path="/api/me", times=None, **how))


async def wrong_password(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    sandbox.faults.add(
        Fault(operation="create_token", status=400, times=None, body={"error": "invalid_grant", "hint": _echo(sandbox)})
    )
    async with connected(sandbox, clock=clock) as tallyfy:
        return await failing(lambda: me(tallyfy))


async def wrong_client(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    async with connected(sandbox, login(sandbox, client_id="999999"), clock=clock) as tallyfy:
        return await failing(lambda: me(tallyfy))


async def echo_of_the_login(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    sandbox.faults.add(Fault(operation="create_token", status=500, times=None, body=_echo(sandbox)))
    async with connected(sandbox, clock=clock) as tallyfy:
        return await failing(lambda: me(tallyfy))


def _echo(sandbox: Sandbox) -> str:
    known = sandbox.credentials
    return f"in POST with client_secret={known.client_secret}&password={known.password}"


async def echo_of_the_token(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    async with connected(sandbox, clock=clock) as tallyfy:
        token = (await tallyfy.tokens.get()).access_token.reveal()
        body = {"error": True, "message": f"no user for Authorization: Bearer {token}"}
        sandbox.faults.add(Fault(operation="get_me", status=403, body=body))
        return await failing(lambda: me(tallyfy))


async def personal_token(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    sandbox.world.vault.revoke_all_access()
    async with connected(sandbox, sandbox.credentials.personal_token, clock=clock) as tallyfy:
        return await failing(lambda: me(tallyfy))


async def half_a_token(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    half = f'{{"token_type": "Bearer", "access_token": "{sandbox.credentials.personal_token}", "refr'
    fault = Fault(operation="create_token", times=None, body=half, content_type="application/json")
    return await refresh_with(sandbox, clock, fault)


async def secret_manager_down(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    answers: list[Any] = [sandbox.credentials.client_secret]

    def secret() -> str:
        if answers:
            return str(answers.pop())
        cache = sandbox.credentials.client_secret
        raise LookupError(len(cache))

    async with connected(sandbox, login(sandbox, client_secret=secret), clock=clock) as tallyfy:
        assert await me(tallyfy) == 200
        clock.advance(4000)
        return await failing(lambda: me(tallyfy))


async def past_the_deadline(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    del clock
    sandbox.faults.add(Fault(operation="get_me", delay=0.2))
    async with connected(sandbox, deadline=0.1) as tallyfy:
        await tallyfy.tokens.get()
        return await failing(lambda: me(tallyfy))


def acting(sandbox: Sandbox, **changes: Any) -> OnBehalfOf:
    """Return the seeded user's credential, by way of the application."""
    known = sandbox.credentials
    application = ClientCredentials(client_id=known.client_id, client_secret=known.client_secret)
    given = {"application": application, "organization": known.organization, "email": known.username}
    return OnBehalfOf(**{**given, **changes})


async def member_refused(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    errors: list[BaseException] = []
    for auth in (acting(sandbox, email="nobody@tallyfy.com"), acting(sandbox, organization="f" * 32)):
        async with connected(sandbox, auth, clock=clock) as tallyfy:
            errors += await failing(lambda: me(tallyfy))
    return errors


async def member_s_reply_unreadable(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    half = f'{{"access_token": "{sandbox.credentials.personal_token}'
    sandbox.faults.add(
        Fault(operation="create_application_user_token", times=None, body=half, content_type="application/json")
    )
    async with connected(sandbox, acting(sandbox), clock=clock) as tallyfy:
        return await failing(lambda: me(tallyfy))


def code_of(sandbox: Sandbox) -> AuthorizationCode:
    """Return a grant whose code, which is none of the server's, looks like a secret of the sandbox."""
    known = sandbox.credentials
    return AuthorizationCode(
        client_id=known.client_id,
        client_secret=known.client_secret,
        code=known.personal_token,
        redirect_uri=known.redirect_uris[0],
        verifier=known.personal_token[-64:],
    )


async def code_refused(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    async with connected(sandbox, code_of(sandbox), clock=clock) as tallyfy:
        return [*await failing(lambda: me(tallyfy)), *await failing(lambda: me(tallyfy))]


async def code_lost(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    with sandbox.proxy(Rule(path="/api/oauth/token", drop_after=True, times=None)) as proxy:
        async with connected(sandbox, code_of(sandbox), clock=clock, base_url=proxy.url) as tallyfy:
            return [*await failing(lambda: me(tallyfy)), *await failing(lambda: me(tallyfy))]


async def implicit_over(sandbox: Sandbox, clock: ManualClock) -> list[BaseException]:
    auth = ImplicitToken(
        client_id="42", access_token=sandbox.credentials.personal_token, issued_at=clock.time(), lifetime=10.0
    )
    async with connected(sandbox, auth, clock=clock) as tallyfy:
        assert await me(tallyfy) == 200
        clock.advance(10)
        return await failing(lambda: me(tallyfy))


BIG = {"padding": "x" * (2**20 + 1)}
STORIES: dict[str, Story] = {
    "wrong password": wrong_password,
    "wrong client": wrong_client,
    "member refused": member_refused,
    "member's reply unreadable": member_s_reply_unreadable,
    "code refused": code_refused,
    "code lost": code_lost,
    "implicit token over": implicit_over,
    "echo of the login": echo_of_the_login,
    "echo of the token": echo_of_the_token,
    "personal token": personal_token,
    "secret manager down": secret_manager_down,
    "past the deadline": past_the_deadline,
    "token refused": token_fault(status=401, body={"error": "invalid_request", "hint": "Token has been revoked"}),
    "token reply html": token_fault(status=200, body="<html>Refreshed.</html>"),
    "token reply of another type": token_fault(patch={"token_type": "mac"}),
    "token reply with a blank": token_fault(patch={"access_token": "a b"}),
    "token reply too big": token_fault(patch=BIG),
    "token endpoint busy": token_fault(status=429, headers={"Retry-After": "40"}),
    "token endpoint down": token_fault(status=503),
    "token reply half": half_a_token,
    "token reply lost": token_accident(drop_after=True),
    "token reply reset": token_accident(drop_after=True, reset=True),
    "token reply cut": token_accident(truncate=900),
    "refused": call_fault(status=401, body={"error": True, "message": "Unauthenticated."}),
    "redirected": call_fault(status=302, body="", headers={"Location": "https://evil.example/"}),
    "html": call_fault(status=200, body="<html>"),
    "reply lost": call_accident(drop_after=True),
    "reply cut": call_accident(truncate=300),
}


@pytest.mark.parametrize("story", [pytest.param(story, id=name.replace(" ", "_")) for name, story in STORIES.items()])
async def test_no_secret_is_told(story: Story, every_log: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        errors = await story(sandbox, clock)
        secrets = pieces(sandbox)
    assert len(secrets) > 3
    assert leaks(every_log.text, secrets) == []
    assert "tallyfy_async" in every_log.text or "httpcore" in every_log.text
    for error in errors:
        assert leaks(shown(error), secrets) == []
        assert leaks(shown(pickle.loads(pickle.dumps(error))), secrets) == []
        assert leaks(shown(copy.copy(error)), secrets) == []


async def test_the_search_finds_a_secret_in_locals() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            token = await tallyfy.tokens.get()
        with pytest.raises(ValueError) as caught:
            _careless(token)
        assert leaks(shown(caught.value), pieces(sandbox))


def _careless(token: Token) -> None:
    clear = token.access_token.reveal()
    raise ValueError(len(clear))


async def test_reprs_show_no_secret(every_log: pytest.LogCaptureFixture) -> None:
    with served() as sandbox:
        grant, store = login(sandbox), MemoryStore()
        tallyfy = connected(sandbox, grant, token_store=store)
        response = await tallyfy.request("GET", "/me")
        token = await tallyfy.tokens.get()
        secrets = pieces(sandbox)
        request = grant.refresh(token)
        objects: list[Any] = [tallyfy, tallyfy._config, tallyfy.tokens, tallyfy.tokens._renewal, tallyfy.tokens._held]
        objects += [tallyfy._engine, tallyfy._transport, grant, grant.first(), request, token, store, response]
        objects += [response.reply, StaticToken(sandbox.credentials.personal_token), sandbox.credentials]
        objects += [acting(sandbox), acting(sandbox).first(), code_of(sandbox), code_of(sandbox).ready(0.0)]
        objects += [tallyfy._credentials, tallyfy.authorization_request("https://app.example/callback")]
        for one in objects:
            for text in (repr(one), str(one), f"{one}", f"{one!r:>5}", repr(getattr(one, "__dict__", ""))):
                assert leaks(text, secrets) == [], type(one)
        for one in (grant, token):
            assert leaks(repr(attrs.asdict(one)), secrets) == []
            assert leaks(json.dumps(attrs.asdict(one), default=repr), secrets) == []
        logging.getLogger("anyone").error("%s %r", token, grant)
        assert leaks(every_log.text, secrets) == []
        await tallyfy.aclose()


async def test_nothing_that_holds_a_secret_is_pickled() -> None:
    with served() as sandbox:
        grant = login(sandbox)
        async with connected(sandbox, grant) as tallyfy:
            token = await tallyfy.tokens.get()
            for one in (
                acting(sandbox),
                code_of(sandbox),
                token,
                grant,
                token.access_token,
                tallyfy,
                StaticToken(sandbox.credentials.personal_token),
            ):
                for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                    with pytest.raises(TypeError):
                        pickle.dumps(one, protocol)
            assert copy.deepcopy(token) == token
            assert isinstance(copy.deepcopy(grant), OAuthClient)


async def test_waiters_errors_show_no_secret() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        auth, store = await earlier_login(sandbox, clock)
        sandbox.faults.add(Fault(operation="create_token", patch={"token_type": "mac"}))
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            for _ in range(2):
                with pytest.raises(AuthError) as caught:
                    await me(tallyfy)
                assert leaks(shown(caught.value), pieces(sandbox)) == []
