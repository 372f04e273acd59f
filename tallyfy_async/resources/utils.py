"""Small services that belong to no organization."""

from __future__ import annotations

from typing import Any, TypedDict

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.identity import Country
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource

SUPPORT_TOKEN = Operation(
    id="get_support_token",
    method="GET",
    path="/support/token",
    scopes="none",
    call="client.utils.support_token",
    confidence="documented",
)
CHECK_URL = Operation(
    id="check_url",
    method="GET",
    path="/utils/check-url",
    scopes="none",
    call="client.utils.check_url",
    confidence="documented",
)
CONFIG = Operation(
    id="get_config",
    method="GET",
    path="/utils/config",
    scopes="none",
    call="client.utils.config",
    confidence="documented",
)
COUNTRIES = Operation(
    id="list_countries",
    method="GET",
    path="/utils/countries",
    scopes="none",
    call="client.utils.list_countries",
    confidence="documented",
)


class _Address(TypedDict):
    url: str


@frozen(eq=False)
class Utils(Resource):
    """Configuration, countries and other small services; the shape of most replies is not published."""

    async def support_token(self, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Get a support access token, as JSON; meant for Tallyfy's own staff (contract: get_support_token)."""
        return await self._object(SUPPORT_TOKEN, options=options)

    async def check_url(self, url: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Ask the server whether a URL answers; return its JSON (contract: check_url).

        Raises ValidationError for what is no URL.
        """
        query = write(_Address, {"url": url}, what="utils.check_url")
        return await self._object(CHECK_URL, query=query, options=options)

    async def config(self, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read public configuration values, as JSON (contract: get_config)."""
        return await self._object(CONFIG, options=options)

    def list_countries(self, *, options: RequestOptions | None = None) -> Pager[Country]:
        """List all countries in one page; ``country_id`` of members points there (contract: list_countries)."""
        return self._list(COUNTRIES, Country, paged=False, options=options)

    async def _object(self, operation: Operation, **given: Any) -> dict[str, Any]:
        response = await self._call(operation, **given)
        return structure({} if response.data is None else response.data, dict[str, Any], path="data")
