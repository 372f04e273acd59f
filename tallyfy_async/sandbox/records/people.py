"""People, what they are grouped by, and what is kept about them."""

from typing import Any

from attrs import define, field, frozen

from .base import JsonObject


@define(kw_only=True)
class User:
    """A person, whatever the organization."""

    id: int
    email: str
    first_name: str
    last_name: str
    password: str = field(repr=False)
    job_title: str | None
    timezone: str
    utc_offset: str
    phone: str | None
    created_at: int
    updated_at: int
    home: str
    """Organization that this user's tokens are tied to: the one they are logged in to."""
    job_description: str | None = None
    team: str | None = None
    country_id: int | None = None
    date_format: str | None = None
    step_preferences: bool = True
    is_bot: bool = False
    """A machine: it is neither edited nor removed, and holds no seat."""

    @property
    def full_name(self) -> str:
        """Return first and last name."""
        return f"{self.first_name} {self.last_name}"


@define(kw_only=True)
class Member:
    """A user's place in one organization."""

    user: User
    role: str
    """Admin, Standard or Light."""
    status: str
    """active, invited or disabled."""
    default_admin: bool = False
    approved: bool = True
    """False: a request to join that waits for an administrator; its status is invited."""
    joined_at: int
    last_login_at: int | None = None
    invited_by: int | None = None
    disabled_at: int | None = None
    disabled_by: int | None = None
    reactivated_at: int | None = None
    reactivated_by: int | None = None

    @property
    def is_admin(self) -> bool:
        """Tell whether business rules for administrators apply."""
        return self.role == "Admin"

    @property
    def is_light(self) -> bool:
        """Tell whether this member may not change templates or archive runs."""
        return self.role == "Light"

    @property
    def holds_seat(self) -> bool:
        """Tell whether a seat is taken: by active and invited people, by no machine."""
        return self.status != "disabled" and self.approved and not self.user.is_bot


@define(kw_only=True)
class Guest:
    """An outside person's place in one organization; the e-mail is the key, the code opens their tasks."""

    id: int
    email: str
    code: str
    first_name: str | None = None
    last_name: str | None = None
    details: JsonObject = field(factory=dict[str, Any])
    """What the create call took, by its keys."""
    associated_members: list[int] | None = None
    created_at: int
    deleted_at: int | None = None
    disabled_at: int | None = None
    disabled_by: int | None = None
    reactivated_at: int | None = None
    reactivated_by: int | None = None


@define(kw_only=True)
class Group:
    """A named set of members and guests."""

    id: str
    name: str
    description: str
    members: list[int]
    guests: list[str]
    created_at: int
    updated_at: int


@define(kw_only=True)
class Role:
    """A custom role: a name and the names of its permissions."""

    id: int
    name: str
    permissions: list[str]
    created_at: int
    updated_at: int


@define(kw_only=True)
class ProcessView:
    """A saved filter over runs, which belongs to one member."""

    id: int
    user_id: int
    name: str
    filter_type: str
    is_active: bool
    criteria: list[Any]


@frozen(kw_only=True)
class Preference:
    """A setting that the web app keeps for one member."""

    slug: str
    value: str | None
    metadata: JsonObject
    updated_at: int


@frozen(kw_only=True)
class Watcher:
    """A subscription: one URL hears of everything in the organization."""

    id: int
    user_id: int
    object_type: str
    object_id: str
    notification_type: str
    frequency: str
    webhook: str


@define(kw_only=True)
class CustomField:
    """The definition of a piece of metadata that records of one kind may carry."""

    id: int
    key: str
    applies_to: str
    """As it was sent; several words mean the same kind."""
    field_type: str
    key_type: str = "org"
    """org, or system, which nobody writes."""
    is_required: bool = False
    is_active: bool = True
    more: JsonObject = field(factory=dict[str, Any])
    """What else was sent, such as `options`."""


@frozen(kw_only=True)
class Activity:
    """One entry of the audit trail. `record` and `parent` are a kind and an id."""

    id: int
    verb: str
    record: tuple[str, str]
    parent: tuple[str, str] | None
    text: str
    actor: int | str | None
    """A member id, the e-mail of a guest, or None for the machine."""
    field: str | None
    old: object
    created_at: int


@frozen(kw_only=True)
class Mail:
    """A mail that the server would have sent."""

    to: str
    subject: str
    at: int
