"""The code of the documentation is run."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tallyfy_async import (
    AuthorizationRequest,
    FileStore,
    ReauthenticationRequiredError,
    TallyfyClient,
    errors,
    generate_key,
    operations,
)
from tallyfy_async.cli import operations as cli_operations
from tallyfy_async.sandbox import Sandbox
from tests.helpers import small_sandbox
from tests.sandbox.browser import Page

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    (path.name, block)
    for path in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
]


def run(name: str, block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, name, "exec"), names)
    return names


@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=lambda text: text[:40])
def test_every_block_runs(name: str, block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(name, block)


def test_every_auth_error_is_in_the_runbook() -> None:
    text = (DOCS / "authentication.md").read_text("utf-8").partition("## Runbook")[2]
    for kind in vars(errors).values():
        if (
            isinstance(kind, type)
            and issubclass(kind, errors.AuthError | errors.StoreError)
            and kind is not errors.AuthError
        ):
            assert f"`{kind.__name__}`" in text


def log_in(sandbox: Sandbox, url: str) -> str:
    """Log in on the authorization page and allow access; return the address that the browser is sent to."""
    known = sandbox.credentials
    with httpx.Client() as browser:
        login = {"email": known.username, "password": known.password, "action": "login"}
        consent = {"organization": known.organization, "action": "allow"}
        page = Page(browser.get(url).text)
        page = Page(browser.post(url, data={"form": page.hidden, **login}).text)
        return browser.post(url, data={"form": page.hidden, **consent}).headers["location"]


def begin_elsewhere(sandbox: Sandbox, **given: Any) -> AuthorizationRequest:
    """Begin a login at the sandbox instead of Tallyfy."""
    return AuthorizationRequest.code(
        **{**given, "client_id": sandbox.credentials.client_id, "authorize_url": sandbox.authorize_url}
    )


@pytest.mark.anyio
async def test_the_login_of_a_web_service(tmp_path: Path) -> None:
    (block,) = [block for name, block in BLOCKS if "def finish" in block]
    names = run("authentication.md", block)
    sandbox = small_sandbox()
    known = sandbox.credentials
    store = FileStore(tmp_path / "tokens", keys=generate_key())

    class Elsewhere:
        code = staticmethod(partial(begin_elsewhere, sandbox))

        @staticmethod
        def restore(exported: dict[str, Any], *, client_secret: str) -> AuthorizationRequest:
            assert client_secret == "…"
            return AuthorizationRequest.restore(exported, client_secret=known.client_secret)

    with sandbox.serve():
        names["AuthorizationRequest"] = Elsewhere
        names["TallyfyClient"] = partial(TallyfyClient, base_url=sandbox.url)
        names["CLIENT"].update(client_id=known.client_id, client_secret=known.client_secret)
        session: dict[str, Any] = {}
        address = log_in(sandbox, names["begin"](session))
        await names["finish"](session, address, store)
        assert set(session) == {"login"}
        async with names["again"](session, store) as tallyfy:
            assert (await tallyfy.me.get()).email == known.username
            await tallyfy.tokens.refresh()
        async with names["again"](session, store) as tallyfy:
            assert (await tallyfy.me.get()).email == known.username
            await tallyfy.tokens.forget()
        async with names["again"](session, store) as tallyfy:
            with pytest.raises(ReauthenticationRequiredError):
                await tallyfy.me.get()
    assert sandbox.stats.token_requests["authorization_code"] == {"ok": 1}
    assert sandbox.stats.token_requests["refresh_token"] == {"ok": 1}


def test_the_page_of_operations_is_the_registry_s() -> None:
    made = cli_operations.page(operations()) + "\n"
    kept = (DOCS / "api.md").read_text("utf-8")
    assert kept == made, "python -m tallyfy_async operations --markdown > docs/api.md"
    assert kept.count(" | inferred |") == sum(one.confidence == "inferred" for one in operations())
