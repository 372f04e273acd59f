"""``python -m tallyfy_async login`` with a real browser, from the form to a token that another process uses."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tallyfy_async.cli.exits import ExitCode
from tallyfy_async.sandbox import Sandbox
from tests.browser.conftest import Login
from tests.faults.rig import served

Start = Callable[..., Login]
FLOWS = ["code", "implicit"]


def fill_in(page: Page, sandbox: Sandbox, address: str, *, password: str | None = None) -> None:
    """Open the authorization page and log in."""
    page.goto(address)
    expect(page).to_have_title("Log in - Tallyfy sandbox")
    page.fill("#email", sandbox.credentials.username)
    page.fill("#password", sandbox.credentials.password if password is None else password)
    page.click("#log-in")


def consent(page: Page, organization: str | None = None) -> None:
    """Choose an organization and allow access."""
    expect(page).to_have_title("Allow access - Tallyfy sandbox")
    if organization is not None:
        page.check(f"#organization-{organization}")
    page.click("#allow")


def arrived(page: Page, login: Login, words: str) -> None:
    """Look at what the receiver shows: nothing of the answer is left in the address bar."""
    expect(page.locator("p")).to_contain_text(words)
    expect(page).to_have_title("Tallyfy login")
    expect(page).to_have_url(login.redirect_uri)
    assert page.evaluate("location.href") == login.redirect_uri


def tokens(sandbox: Sandbox) -> list[str]:
    return [*sandbox.world.vault.access, *sandbox.world.vault.refresh]


@pytest.mark.parametrize("flow", FLOWS)
def test_login_consent_and_a_token_that_works(flow: str, page: Page, sandbox: Sandbox, log_in: Start) -> None:
    mine = sandbox.credentials.organizations[0]
    login = log_in(sandbox, "--flow", flow, "--organization", mine)
    fill_in(page, sandbox, login.address)
    consent(page, mine)
    arrived(page, login, "You can close this window")
    status, out, err = login.end()
    assert (status, err) == (0, "")
    assert f"Logged in, organization {mine}" in out
    assert not any(token[-40:] in out for token in tokens(sandbox))
    found = login.use()
    assert (found["email"], found["organization"]) == (sandbox.credentials.username, mine)
    assert isinstance(found["runs"], int)
    assert found["runs"] > 0
    asked = parse_qs(urlsplit(login.address).query)
    assert ("code_challenge" in asked) == (flow == "code")
    assert sandbox.stats.token_requests["authorization_code"] == ({"ok": 1} if flow == "code" else {})


def test_a_confidential_client(page: Page, sandbox: Sandbox, log_in: Start) -> None:
    known = sandbox.credentials
    line = ("--client-id", known.client_id, "--organization", known.organization)
    login = log_in(sandbox, *line, secret=known.client_secret)
    fill_in(page, sandbox, login.address)
    consent(page)
    arrived(page, login, "You can close this window")
    assert login.end()[0] == 0
    assert known.client_secret not in login.address
    assert login.use()["email"] == known.username


def test_an_implicit_token_in_the_query(page: Page, log_in: Start) -> None:
    with served(organizations=1, implicit_delivery="query") as sandbox:
        login = log_in(sandbox, "--flow", "implicit")
        fill_in(page, sandbox, login.address)
        consent(page)
        arrived(page, login, "You can close this window")
        status, _, err = login.end()
        assert status == 0
        assert "the access token came in the query of the redirect" in err
        assert login.use()["email"] == sandbox.credentials.username


@pytest.mark.parametrize("flow", FLOWS)
def test_one_of_several_organizations_is_picked(flow: str, page: Page, sandbox: Sandbox, log_in: Start) -> None:
    login = log_in(sandbox, "--flow", flow)
    fill_in(page, sandbox, login.address)
    chosen = sandbox.credentials.organizations[1]
    consent(page, chosen)
    arrived(page, login, "You can close this window")
    status, out, err = login.end("2\n")
    assert (status, chosen in out) == (0, True)
    assert "You belong to 2 organizations:" in err
    assert re.search(rf"^  2  .* \({chosen}\)$", err, re.MULTILINE)
    assert login.use()["organization"] == chosen


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("step", ["at the login", "at the consent"])
def test_denied_consent(flow: str, step: str, page: Page, sandbox: Sandbox, log_in: Start) -> None:
    login = log_in(sandbox, "--flow", flow)
    if step == "at the login":
        page.goto(login.address)
    else:
        fill_in(page, sandbox, login.address)
        expect(page).to_have_title("Allow access - Tallyfy sandbox")
    page.click("#deny")
    arrived(page, login, "did not let you in")
    status, out, err = login.end()
    assert (status, out) == (ExitCode.NOT_LOGGED_IN, "")
    assert "not logged in: the user or the server denied access: access_denied" in err
    assert sandbox.world.vault.issued == 0


@pytest.mark.parametrize("flow", FLOWS)
def test_a_wrong_state_is_refused_and_a_right_one_still_comes(
    flow: str, page: Page, sandbox: Sandbox, log_in: Start
) -> None:
    login = log_in(sandbox, "--flow", flow, "--organization", sandbox.credentials.organization)
    fill_in(page, sandbox, re.sub(r"state=[^&]+", "state=of-an-attacker", login.address))
    consent(page)
    arrived(page, login, "does not belong to the login that is waiting here")
    assert login.waits
    assert sandbox.stats.token_requests["authorization_code"] == {}
    fill_in(page, sandbox, login.address)
    consent(page)
    arrived(page, login, "You can close this window")
    status, _, err = login.end()
    assert status == 0
    assert err.count("refused an answer whose state is not the one of this login; still waiting") == 1
    assert login.use()["email"] == sandbox.credentials.username


@pytest.mark.parametrize("flow", FLOWS)
def test_a_wrong_state_alone_logs_nobody_in(flow: str, page: Page, sandbox: Sandbox, log_in: Start) -> None:
    login = log_in(sandbox, "--flow", flow, "--timeout", "15")
    fill_in(page, sandbox, re.sub(r"state=[^&]+", "state=of-an-attacker", login.address))
    consent(page)
    arrived(page, login, "does not belong to the login that is waiting here")
    interrupted = os.name == "posix"
    if interrupted:
        login.process.send_signal(signal.SIGINT)  # what a person does, rather than wait for the end of the time
    status, out, err = login.end()
    assert (status, out) == (ExitCode.INTERRUPTED if interrupted else ExitCode.NOT_LOGGED_IN, "")
    assert "refused an answer whose state is not the one of this login" in err


def test_a_wrong_password_is_told_by_the_page_and_can_be_mended(page: Page, sandbox: Sandbox, log_in: Start) -> None:
    login = log_in(sandbox, "--organization", sandbox.credentials.organization)
    fill_in(page, sandbox, login.address, password="wrong")
    expect(page.locator("#message")).to_have_attribute("role", "alert")
    assert login.waits
    page.fill("#password", sandbox.credentials.password)
    page.click("#log-in")
    consent(page)
    arrived(page, login, "You can close this window")
    assert login.end()[0] == 0


@pytest.mark.parametrize("flow", FLOWS)
def test_row_114_other_pages_neither_read_nor_end_the_wait(
    flow: str, page: Page, sandbox: Sandbox, log_in: Start
) -> None:
    login = log_in(sandbox, "--flow", flow, "--organization", sandbox.credentials.organization)
    port = urlsplit(login.redirect_uri).port
    rebound = page.goto(f"http://evil.example:{port}/callback?code=x&state=x")
    assert rebound is not None
    assert rebound.status == 421
    # A form of another site, which needs no permission to post.
    page.goto("about:blank")
    page.set_content(
        f'<form method="post" action="{login.redirect_uri}"><input name="access_token" value="injected"></form>'
    )
    with page.expect_navigation() as posted:
        page.evaluate("document.forms[0].submit()")
    assert posted.value.status == (405 if flow == "code" else 403)
    favicon = page.goto(login.redirect_uri.replace("/callback", "/favicon.ico"))
    assert favicon is not None
    assert favicon.status == 404
    assert login.waits
    fill_in(page, sandbox, login.address)
    consent(page)
    arrived(page, login, "You can close this window")
    assert login.end()[0] == 0
