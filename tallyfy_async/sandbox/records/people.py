"""People and what they are grouped by."""

from attrs import define, field


@define(kw_only=True)
class User:
    """A person, whatever the organization."""

    id: int
    email: str
    first_name: str
    last_name: str
    password: str = field(repr=False)
    job_title: str
    timezone: str
    utc_offset: str
    phone: str
    created_at: int
    updated_at: int
    home: str
    """Organization that this user's tokens are tied to: the one they are logged in to."""

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
    joined_at: int
    last_login_at: int | None = None
    disabled_at: int | None = None

    @property
    def is_admin(self) -> bool:
        """Tell whether business rules for administrators apply."""
        return self.role == "Admin"

    @property
    def is_light(self) -> bool:
        """Tell whether this member may not change templates or archive runs."""
        return self.role == "Light"


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
