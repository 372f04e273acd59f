"""What belongs to an organization itself: details, billing, branding."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model


class DetermineDeadlineInput(TypedDict, total=False):
    """Which days deadlines may fall on; 0 or 1."""

    workdays: int
    holidays: int


class OrganizationSettingsInput(TypedDict, total=False):
    """Working days of an organization (contract: OrganizationSettings)."""

    determine_deadline: DetermineDeadlineInput
    workdays: Iterable[str]
    """Names of days, such as Monday."""
    holidays: Iterable[str]
    """Days without a year, such as 01-01."""


class OrganizationUpdate(TypedDict, total=False):
    """What an update changes on an organization (contract: OrganizationUpdate)."""

    name: str
    """Up to 50 characters."""
    slug: str
    description: str
    address1: str
    address2: str
    address3: str
    welcome_title: str
    welcome_description: str
    industry: str
    country: str
    state: str
    city: str
    zipcode: str
    settings: OrganizationSettingsInput


class AddressInput(TypedDict, total=False):
    """A postal address (contract: Address)."""

    address1: str
    address2: str
    city: str
    state: str
    zip: str
    country: str
    phone: str


class BillingAccountUpdate(TypedDict, total=False):
    """Billing contact (contract: BillingAccountUpdate)."""

    email: str
    cc_emails: str
    address: AddressInput


class SubscriptionUpdate(TypedDict, total=False):
    """Plan and coupon (contract: SubscriptionUpdate)."""

    plan_code: str
    coupon_code: str


class BrandingUpdate(TypedDict, total=False):
    """Brand colours, each a hash and six hex digits (contract: BrandingUpdate)."""

    bg_color: str
    text_color: str
    alternate_color: str
    bright_shade: str
    dark_shade: str


@frozen(kw_only=True, repr=False)
class Address(Model):
    """Describe a postal address (contract: Address)."""

    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None
    phone: str | None = None


@frozen(kw_only=True, repr=False)
class BillingAccount(Model):
    """Describe the billing contact of an organization (contract: BillingAccount)."""

    email: str | None = None
    cc_emails: str | None = None
    address: Address | None = None


@frozen(kw_only=True, repr=False)
class Branding(Model):
    """Describe the brand colours of an organization (contract: Branding)."""

    bg_color: str | None = None
    text_color: str | None = None
    alternate_color: str | None = None
    bright_shade: str | None = None
    dark_shade: str | None = None
    updated_at: datetime | None = None
