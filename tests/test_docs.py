"""The code of the documentation is run."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

import tallyfy_async
from tallyfy_async import (
    AuthorizationRequest,
    FileStore,
    ReauthenticationRequiredError,
    TallyfyClient,
    errors,
    generate_key,
    models,
    operations,
)
from tallyfy_async.cli import operations as cli_operations
from tallyfy_async.sandbox import Sandbox
from tests.docs_rig import DOCS, PAGES, ROOT, Reader, awaits, blocks_of, reading
from tests.helpers import small_sandbox
from tests.sandbox.browser import Page

WITH_CODE = [page for page in PAGES if blocks_of(page)]
_PLUGIN = """
from tallyfy_async.testing import plugin


def pytest_configure(config):
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "tallyfy")
"""


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Reader]:
    """Return somebody who reads a page, with a Tallyfy that is served."""
    (tmp_path / "conftest.py").write_text(_PLUGIN)  # as the entry point does where the package is installed
    sandbox = Sandbox()
    with sandbox.serve(), reading(monkeypatch, tmp_path, sandbox) as one:
        yield one


@pytest.mark.once
@pytest.mark.parametrize("page", WITH_CODE)
def test_every_block_of_a_page_runs(page: str, reader: Reader) -> None:
    anyio.run(reader.read, page)


@pytest.mark.once
@pytest.mark.parametrize("page", [page for page in WITH_CODE if any(map(awaits, blocks_of(page)))])
def test_every_block_that_awaits_runs_on_trio_too(page: str, reader: Reader) -> None:
    reader.consoles = False  # they were heard on asyncio, and would say the same
    anyio.run(reader.read, page, backend="trio")


def test_a_block_that_nobody_can_run_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text, said in (
        ("```\nnothing\n```\n", "block without language"),
        ("```text\nnothing\n```\n", "how to run text"),
        ("```console\n$ curl example.com\n```\n", "how to run 'curl"),
    ):
        (tmp_path / "page.md").write_text(text)
        monkeypatch.setattr("tests.docs_rig.DOCS", tmp_path)
        (block,) = blocks_of("page.md")
        with pytest.raises(pytest.fail.Exception, match=said):
            anyio.run(Reader(tmp_path, {}).do, block)


@pytest.mark.parametrize(
    "text",
    [
        '```console\n$ pip install "tallyfy-async[nothing]"\n```\n',
        "```console\n$ nox -s nothing\n```\n",
        "```console\n$ python -m tallyfy_async --nothing\n```\n",
        "```console\n$ python -m tallyfy_async --version\ntallyfy-async 0.0\n```\n",
        "```console\nno command\n```\n",
        "```python\nassert False\n```\n",
    ],
)
def test_a_block_that_says_what_is_not_so_fails(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr("tests.docs_rig.DOCS", tmp_path)
    (block,) = blocks_of("page.md")
    with pytest.raises(AssertionError):
        anyio.run(Reader(tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)}).do, block)


def test_every_fence_is_a_block() -> None:
    for page in PAGES:
        text = (DOCS / page).read_text("utf-8")
        assert 2 * len(blocks_of(page)) == len(re.findall(r"^ *```", text, re.MULTILINE)), page


def test_every_page_is_in_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = re.findall(r"^ +- ([\w/-]+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == PAGES


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(path.read_text("utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
    shown = set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))
    for name in set(tallyfy_async.__all__) - {"__version__"}:
        value = getattr(tallyfy_async, name)
        home = getattr(value, "__module__", None) or ""
        whole = value.__name__ if inspect.ismodule(value) else home
        assert shown & {f"tallyfy_async.{name}", whole}, f"{name} of {home}"
    for model in models.__all__:
        home = getattr(getattr(models, model), "__module__", "")
        assert not home.startswith("tallyfy_async") or home in shown, model
    for one in operations():
        if not one.call.startswith("tallyfy_async."):
            assert homes_of(one.call) & shown, one.call


def homes_of(call: str) -> set[str]:
    """Return the modules whose reference shows the class with a method."""
    client = TallyfyClient("token", organization="o" * 32)
    root, *names = call.split(".")
    found: Any = {"client": client, "org": client.organization()}[root]
    for name in names[:-1]:
        found = getattr(found, name)
    return {kind.__module__ for kind in type(found).__mro__} | {f"tallyfy_async.{type(found).__name__}"}


def hooks() -> Any:
    """Load the hooks of the site's build, which needs no MkDocs."""
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/a.js"></script>',
        "<img alt='' src=//cdn.example/a.png>",
        '<link rel="stylesheet" href="https://fonts.example/a.css">',
        '<link href="https://fonts.example" rel="preconnect">',
        "<style>@import 'https://fonts.example/a.css';</style>",
        '<style>@font-face { src: url("https://fonts.example/a.woff") }</style>',
    ],
)
def test_a_site_that_needs_another_host_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(text)
    with pytest.raises(SystemExit, match=r"page\.html loads from another host"):
        hooks().on_post_build({"site_dir": str(tmp_path)})


def test_a_site_that_links_to_another_host_is_fine(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://tallyfy.com">Tallyfy</a><link rel="canonical" href="https://example.com/">'
        '<svg xmlns="http://www.w3.org/2000/svg"></svg><img src="images/a.png">'
        "<style>a { background: url(b.png) }</style>"
    )
    hooks().on_post_build({"site_dir": str(tmp_path)})
    for picture in (DOCS / "images").glob("*.svg"):
        (tmp_path / picture.name).write_text(picture.read_text("utf-8"))
    hooks().on_post_build({"site_dir": str(tmp_path)})


def test_roles_of_docstrings_become_code() -> None:
    page = hooks().on_page_content("<p>See :meth:<code>aclose</code>, like this::</p>")
    assert page == "<p>See <code>aclose</code>, like this:</p>"


def test_the_extras_on_the_first_page_are_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    table = (DOCS / "index.md").read_text("utf-8").partition("| extra |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    listed = [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]
    assert len(listed) == len(set(listed))
    assert declared.keys() <= set(listed)


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
    (block,) = [one for one in blocks_of("authentication.md") if "def finish" in one.code]
    names: dict[str, Any] = {}
    exec(block.code, names)
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
