"""The organization itself: details, billing and branding."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.identity import Organization
from tallyfy_async.models.organizations import (
    BillingAccount,
    BillingAccountUpdate,
    BrandingUpdate,
    OrganizationUpdate,
    SubscriptionUpdate,
)
from tallyfy_async.models.organizations import (
    Branding as BrandingColors,
)
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, with_of
from tallyfy_async.resources.merging import changes

if TYPE_CHECKING:
    from tallyfy_async.transport.upload import FileSource

_ORG = "/organizations/{org}"
_operation = partial(Operation, scopes="organization")
_inferred = partial(_operation, confidence="inferred")

GET = _operation(id="get_organization", method="GET", path=_ORG, call="org.get")
UPDATE = _operation(id="update_organization", method="PUT", path=_ORG, call="org.update", confidence="documented")
GET_ACCOUNT = _inferred(
    id="get_billing_account", method="GET", path=f"{_ORG}/billing-account", call="org.billing.get_account"
)
UPDATE_ACCOUNT = _inferred(
    id="update_billing_account", method="PUT", path=f"{_ORG}/billing-account", call="org.billing.update_account"
)
UPDATE_INFO = _inferred(
    id="update_billing_info", method="PUT", path=f"{_ORG}/billing-info", call="org.billing.update_info"
)
UPDATE_SUBSCRIPTION = _inferred(
    id="update_subscription", method="PUT", path=f"{_ORG}/subscriptions", call="org.billing.update_subscription"
)
GET_BRANDING = _inferred(id="get_branding", method="GET", path=f"{_ORG}/custom-branding", call="org.branding.get")
UPDATE_BRANDING = _inferred(
    id="update_branding", method="PUT", path=f"{_ORG}/custom-branding", call="org.branding.update"
)
UPLOAD_LOGO = _inferred(id="upload_logo", method="POST", path=f"{_ORG}/logo", call="org.branding.upload_logo")
GET_LOGO = _inferred(id="get_logo", method="GET", path=f"{_ORG}/logo/{{logo_id}}", call="org.branding.get_logo")


class _Card(TypedDict):
    token_id: str


@frozen(eq=False)
class OrganizationDetails(Resource):
    """Details and settings of the organization."""

    async def get(self, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None) -> Organization:
        """Read the organization; ``with_=["subscription", "billing_info"]`` brings plan and billing along.

        ``users_count`` counts active members only: it is smaller than the list of users (contract: get_organization).
        """
        return await self._item(GET, Organization, query=with_of(with_), options=options)

    async def update(
        self, *, options: RequestOptions | None = None, **fields: Unpack[OrganizationUpdate]
    ) -> Organization:
        """Change details and settings; what is not given stays as it is (contract: update_organization).

        The server wants the name each time: where it is not given, the organization is read first. Administrators only,
        others get PermissionDeniedError.
        """
        body = changes(OrganizationUpdate, fields, "update")
        if "name" not in body:
            body = {"name": (await self.get(options=options)).name, **body}
        return await self._item(UPDATE, Organization, payload=body, options=options)


@frozen(eq=False)
class Billing(Resource):
    """Billing of the organization; the plan itself is read by ``org.get(with_=["subscription", "billing_info"])``."""

    async def get_account(self, *, options: RequestOptions | None = None) -> BillingAccount:
        """Read the billing contact (contract: get_billing_account).

        Inferred: no official document shows it.
        """
        return await self._item(GET_ACCOUNT, BillingAccount, options=options)

    async def update_account(
        self, *, options: RequestOptions | None = None, **fields: Unpack[BillingAccountUpdate]
    ) -> BillingAccount:
        """Change the billing contact (contract: update_billing_account).

        Inferred: no official document shows it, nor whether the server keeps what is not given.
        """
        body = changes(BillingAccountUpdate, fields, "billing.update_account")
        return await self._item(UPDATE_ACCOUNT, BillingAccount, payload=body, options=options)

    async def update_info(self, *, token_id: str, options: RequestOptions | None = None) -> dict[str, Any]:
        """Store a card by the token that the payment provider gave for it; return the reply's JSON.

        Inferred: no official document shows it, but seed 000 names it as what the organization scope allows
        (contract: update_billing_info).
        """
        body = write(_Card, {"token_id": token_id}, what="billing.update_info")
        return _json((await self._call(UPDATE_INFO, payload=body, options=options)).data)

    async def update_subscription(
        self, *, options: RequestOptions | None = None, **fields: Unpack[SubscriptionUpdate]
    ) -> dict[str, Any]:
        """Change plan or coupon; return the reply's JSON (contract: update_subscription).

        Inferred: no official document shows it, but seed 000 names it as what the organization scope allows.
        """
        body = changes(SubscriptionUpdate, fields, "billing.update_subscription")
        return _json((await self._call(UPDATE_SUBSCRIPTION, payload=body, options=options)).data)


@frozen(eq=False)
class Branding(Resource):
    """Branding of the organization."""

    async def get(self, *, options: RequestOptions | None = None) -> BrandingColors:
        """Read the brand colours (contract: get_branding).

        Inferred: no official document shows it.
        """
        return await self._item(GET_BRANDING, BrandingColors, options=options)

    async def update(
        self, *, options: RequestOptions | None = None, **fields: Unpack[BrandingUpdate]
    ) -> BrandingColors:
        """Change the brand colours (contract: update_branding).

        Inferred: no official document shows it, nor whether the server keeps what is not given.
        """
        body = changes(BrandingUpdate, fields, "branding.update")
        return await self._item(UPDATE_BRANDING, BrandingColors, payload=body, options=options)

    async def upload_logo(
        self,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        options: RequestOptions | None = None,
    ) -> Organization:
        """Upload the logo: JPG, PNG or GIF of at most 10 MB, best 200 by 50 pixels (contract: upload_logo).

        Inferred: no official document shows it. Raises as ``files.upload`` does.
        """
        return await self._upload(
            UPLOAD_LOGO,
            Organization,
            part="logo",
            source=source,
            filename=filename,
            content_type=content_type,
            options=options,
        )

    async def get_logo(self, logo_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read what the server says of a stored logo, as JSON (contract: get_logo).

        Inferred: no official document shows it.
        """
        return _json((await self._call(GET_LOGO, {"logo_id": logo_id}, options=options)).data)


def _json(data: Any) -> dict[str, Any]:
    return structure({} if data is None else data, dict[str, Any], path="data")
