"""Somebody who logs in at the sandbox's authorization page, with a browser that does by hand what scripts do."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable

import httpx
from attrs import define, field

from tallyfy_async.sandbox import Sandbox


@define(eq=False)
class Person:
    """Follows an authorization address to its end.

    Attributes:
        sandbox: where the account is.
        decision: ``allow`` or ``deny``.
        tamper: what an attacker makes of the redirect and sends first.
        pages: what the loopback receiver showed.

    """

    sandbox: Sandbox
    decision: str = "allow"
    tamper: Callable[[str], str] | None = None
    pages: list[str] = field(factory=list)
    addresses: list[str] = field(factory=list)
    done: threading.Event = field(factory=threading.Event)

    def visit(self, address: str) -> bool:
        """Log in, decide, and bring the answer to the waiting program. It runs in a thread of the program's own."""
        self.addresses.append(address)
        try:
            with httpx.Client(trust_env=False, timeout=10) as browser:
                redirect = self._redirect(browser, address)
                if self.tamper is not None:
                    self._answer(browser, self.tamper(redirect))
                self._answer(browser, redirect)
        finally:
            self.done.set()
        return True

    def _redirect(self, browser: httpx.Client, address: str) -> str:
        mine = self.sandbox.credentials
        page = browser.get(address)
        page = self._post(browser, page, action="login", email=mine.username, password=mine.password)
        reply = self._post(browser, page, action=self.decision, organization=mine.organization)
        assert reply.status_code == 302, reply.text
        return reply.headers["location"]

    def _post(self, browser: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
        hidden = re.search(r'name="form" value="([^"]+)"', page.text)
        assert hidden is not None, page.text
        return browser.post(page.url, data={"form": html.unescape(hidden[1]), **fields})

    def _answer(self, browser: httpx.Client, redirect: str) -> None:
        address, _, fragment = redirect.partition("#")
        page = browser.get(address)
        if fragment and "location.hash" in page.text:
            origin = re.match(r"http://[^/]+", address)
            assert origin is not None
            kind = {"Origin": origin[0], "Content-Type": "application/x-www-form-urlencoded"}
            page = browser.post(address, content=fragment, headers=kind)
        self.pages.append(page.text)


def words(sandbox: Sandbox, *more: str) -> list[str]:
    """Return the command line that suits a sandbox."""
    server = ["--base-url", sandbox.url, "--authorize-url", sandbox.authorize_url]
    return [*server, "--client-id", sandbox.credentials.public_client_id, "--store", "file", "--timeout", "20", *more]
