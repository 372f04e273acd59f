"""Accounts before anybody is logged in."""

from typing import Required, TypedDict


class Registration(TypedDict, total=False):
    """An account to create, with an organization of its own (contract: RegisterInput)."""

    first_name: Required[str]
    last_name: Required[str]
    email: Required[str]
    password: Required[str]
    """6 to 127 characters, upper case, lower case and a digit among them."""
    company_name: Required[str]
    plan_code: Required[str]
    timezone: str
    """Such as ``America/Chicago``."""
    coupon_code: str


class PasswordReset(TypedDict):
    """A new password (contract: ResetPasswordInput)."""

    code: str
    """From the link of the mail, which works for 60 minutes."""
    password: str
    """6 to 127 characters, upper case, lower case and a digit among them."""
    password_confirmation: str
    """The same again."""
