"""A browser without JavaScript: it reads forms, fills them in and does not follow redirects."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    import httpx

    from .conftest import Api

VOID = {"meta", "link", "input", "br"}
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}


class Page(HTMLParser):
    """A page: elements by id, fields of its form, text; a tag that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: dict[str, dict[str, str]] = {}
        self.fields: list[dict[str, str]] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "id" in values:
            assert values["id"] not in self.ids
            self.ids[values["id"]] = values
        if tag in {"input", "button"}:
            self.fields.append(values)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def hidden(self) -> str:
        return next(field["value"] for field in self.fields if field.get("type") == "hidden")

    @property
    def organizations(self) -> list[str]:
        return [field["value"] for field in self.fields if field.get("name") == "organization"]


class Visit:
    """One visit to the authorization page."""

    def __init__(self, api: Api, **query: Any) -> None:
        mine = api.sandbox.credentials
        asked = {"client_id": mine.client_id, "response_type": "code", "redirect_uri": mine.redirect_uris[2]}
        self.api = api
        self.query = {name: value for name, value in (asked | query).items() if value is not None}

    async def open(self, **headers: str) -> httpx.Response:
        url = self.api.sandbox.authorize_url
        return await self.api.http.get(url, params=self.query, headers={"Accept": "text/html"} | headers)

    async def post(self, **fields: str) -> httpx.Response:
        return await self.api.http.post(self.api.sandbox.authorize_url, params=self.query, data=fields)

    async def login(self, **fields: str) -> httpx.Response:
        mine, page = self.api.sandbox.credentials, Page((await self.open()).text)
        filled = {"form": page.hidden, "action": "login", "email": mine.username, "password": mine.password}
        return await self.post(**(filled | fields))

    async def answer(self, action: str = "allow", organization: str | None = None) -> httpx.Response:
        page = Page((await self.login()).text)
        choice = organization or next(f["value"] for f in page.fields if "checked" in f)
        return await self.post(form=page.hidden, action=action, organization=choice)

    async def code(self, organization: str | None = None) -> str:
        return arrived(await self.answer(organization=organization))["code"]


def arrived(reply: httpx.Response, *, fragment: bool = False) -> dict[str, str]:
    """Return the parameters of a redirect; they stand in one place only."""
    assert reply.status_code == 302, reply.text
    parts = urlsplit(reply.headers["location"])
    used, other = (parts.fragment, parts.query) if fragment else (parts.query, parts.fragment)
    assert not other
    pairs = parse_qsl(used, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
