"""Roles of members."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import MemberId


@frozen(kw_only=True, repr=False)
class Role(Model):
    """Describe a role (contract: Role)."""

    id: MemberId
    name: str | None = None
    permissions: dict[str, Any] | None = None
    """Permission -> 1."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class RoleCreate(TypedDict, total=False):
    """A role to create (contract: RoleInput)."""

    name: Required[str]
    permissions: Iterable[str]
    """Names of permissions."""


class RoleUpdate(TypedDict, total=False):
    """Arguments of a role's update (contract: RoleInput); what is absent stays."""

    name: str
    permissions: Iterable[str]
    """The whole list of names."""
