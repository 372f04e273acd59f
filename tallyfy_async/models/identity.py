"""Members and organizations."""

from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import field, frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, Include, Item, MemberId


@frozen(kw_only=True, repr=False)
class Country(Model):
    """Describe a country."""

    id: MemberId
    name: str | None = None
    phone_code: str | None = None
    iso2: str | None = None


@frozen(kw_only=True, repr=False)
class GroupBrief(Model):
    """Describe a group as a member shows it (with=groups)."""

    id: Id
    name: str | None = None
    logo: str | None = None
    members: tuple[MemberId, ...] | None = None
    guests: tuple[str, ...] | None = None


class ApplicationUserCreate(TypedDict, total=False):
    """A member to provision with an application token (contract: ApplicationUserCreate)."""

    first_name: Required[str]
    """At most 32 characters, as ``last_name``."""
    last_name: Required[str]
    email: Required[str]
    """Unused so far, of a valid domain."""
    role: str
    """``admin``, ``standard`` or ``light``."""
    timezone: str
    """Such as ``America/Chicago``."""


@frozen(kw_only=True, repr=False)
class ApplicationUser(Model):
    """Describe a member that an application provisioned (contract: ApplicationUser)."""

    id: MemberId
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    role: str | None = None
    created_at: datetime | None = None


@frozen(kw_only=True, repr=False)
class UserStats(Model):
    """Count what a member did (with=stats)."""

    steps_created: int | None = None
    tasks_completed: int | None = None
    processes_launched: int | None = None
    checklists_created: int | None = None
    last_step_created_at: datetime | None = None


@frozen(kw_only=True, repr=False)
class User(Model):
    """Describe a member; short replies lack most keys (contract: User)."""

    id: MemberId
    email: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    full_name: str | None = None
    profile_pic: str | None = None
    resize_profile_pic: str | None = None
    country_id: MemberId | None = None
    is_active: bool | None = None
    active: bool | None = None
    """Older name of is_active."""
    complete: bool | None = None
    """2021 only."""
    is_suspended: bool | None = None
    is_default_admin: bool | None = None
    is_partner: bool | None = None
    is_support: bool | None = None
    support_user: bool | None = None
    """Older name of is_support."""
    initial_signup_method: str | None = None
    type: str | None = None
    role: str | None = None
    """Admin, Standard or Light in reads, lower case in other replies: compare without case."""
    status: str | None = None
    """Active, invited or disabled, in lower case."""
    locale: str | None = None
    phone: str | None = None
    job_title: str | None = None
    job_description: str | None = None
    team: str | None = None
    timezone: str | None = None
    utc_offset: str | None = field(default=None, metadata={"key": "UTC_offset"})
    date_format: str | None = None
    step_preferences: bool | None = None
    cadence_days: tuple[str, ...] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_updated: datetime | None = None
    """Older name of updated_at."""
    last_login_at: datetime | None = None
    activated_at: datetime | None = None
    last_accessed_at: datetime | None = None
    approved_at: datetime | None = None
    invited_by: MemberId | None = None
    disabled_at: datetime | None = None
    disabled_by: MemberId | None = None
    reactivated_at: datetime | None = None
    reactivated_by: MemberId | None = None
    last_known_ip: str | None = None
    last_known_country: str | None = None
    last_city: str | None = None
    last_country: str | None = None
    country: Item[Country | str] = None
    """Only with ``with=country``; older replies give a name."""
    groups: Include[GroupBrief] | None = None
    """Only with ``with=groups``."""
    stats: Item[UserStats] = None
    """Only with ``with=stats``."""
    organizations: Any = None
    """Only with ``with=organizations``; its shape is not published."""
    preferences: Any = None
    """Only with ``with=preferences``; its shape is not published."""
    assets: Any = None
    """Only with ``with=assets``; its shape is not published."""
    member_watchers: Any = None
    """Only with ``with=member_watchers``; its shape is not published."""
    guest_watchers: Any = None
    """Only with ``with=guest_watchers``; its shape is not published."""
    auth_methods: Any = None
    """Only with ``with=auth_methods``; its shape is not published."""


@frozen(kw_only=True, repr=False)
class UserSummary(Model):
    """Describe a member in few words (contract: UserSummary)."""

    id: MemberId
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    full_name: str | None = None
    profile_pic: str | None = None
    role: str | None = None
    status: str | None = None


class UserInvite(TypedDict):
    """A member to invite (contract: UserInvite)."""

    email: str
    first_name: str
    """At most 32 characters, as ``last_name``."""
    last_name: str
    role: str
    """``admin``, ``standard`` or ``light``."""
    message: str
    """Text of the mail, at most 5000 characters; the server demands one."""


class UserUpdate(TypedDict, total=False):
    """Arguments of a member's update (contract: UserUpdate); what is absent stays."""

    first_name: str
    """At most 32 characters, as ``last_name``; no URL."""
    last_name: str
    timezone: str
    """Such as ``Europe/London``."""
    phone: str
    """At most 20 characters."""
    job_title: str | None
    job_description: str | None
    team: str | None
    country_id: int
    date_format: str
    """``mm/dd/yyyy`` or ``dd/mm/yyyy``."""
    step_preferences: bool


@frozen(kw_only=True, repr=False)
class DefaultDeadline(Model):
    """Say when a task without a deadline of its own becomes due."""

    type: str | None = None
    value: int | None = None


@frozen(kw_only=True, repr=False)
class AutoArchiveAfter(Model):
    """Say after which time completed processes are archived."""

    unit: str | None = None
    value: int | None = None


@frozen(kw_only=True, repr=False)
class Organization(Model):
    """Describe an organization, which is a tenant (contract: Organization)."""

    id: Id
    name: str
    slug: str | None = None
    industry: str | None = None
    description: str | None = None
    welcome_title: str | None = None
    welcome_description: str | None = None
    address1: str | None = None
    address2: str | None = None
    address3: str | None = None
    country: str | None = None
    state: str | None = None
    city: str | None = None
    zipcode: str | None = None
    created_on: datetime | None = None
    last_updated: datetime | None = None
    created_at: datetime | None = None
    """Only one official client knows it; elsewhere ``created_on``."""
    live_support_enabled: bool | None = None
    org_logo: str | None = None
    settings: Any = None
    """Its shape is not published."""
    users_count: int | None = None
    """Active members only."""
    payment_state: str | None = None
    team_size: tuple[int, ...] | str | None = None
    signup_survey: Any = None
    in_trial: bool | None = None
    analytics_enabled: bool | None = None
    limit_trial_features: bool | None = None
    real_time_billing: bool | None = None
    saml_enabled: bool | None = None
    saml_login_url: str | None = None
    sso_default_role: str | None = None
    preferred_trial_plan: str | None = None
    google_analytics_id: Id | None = None
    mixpanel_token: str | None = None
    plan_code: str | None = None
    auto_join_signups: bool | None = None
    home_bg: str | None = None
    guest_onboarding_snippet: str | None = None
    maximum_group_assignment_limit: int | None = None
    allow_user_invite: bool | None = None
    allow_manage_groups: bool | None = None
    working_days: Any = None
    """Keys Monday to Sunday, each an object or null."""
    deadline_setting: str | dict[str, Any] | None = None
    wyiwyg: bool | None = None
    cadence_days: tuple[str, ...] | None = None
    guest_cadence_days: tuple[str, ...] | None = None
    timezone: str | None = None
    default_deadline: DefaultDeadline | None = None
    auto_archive: bool | None = None
    auto_archive_processes_after: AutoArchiveAfter | None = None
    auto_complete_tasks: bool | None = None
    auto_complete_task_months: int | None = None
    light_role_error_snippet: str | None = None
    azure_cognitive_service: str | dict[str, Any] | None = None
    global_css: str | None = None
    error_404_template: str | None = None
    enable_custom_404_error: bool | None = None
    enable_custom_smtp: bool | None = None
    onboarding_template_id: Id | None = None
    enable_onboarding_template: bool | None = None
    disable_min_members_billing: bool | None = None
    enable_light_users_billing: bool | None = None
    webhook_date_field_format: str | None = None
    purpose: str | None = None
    process_today: str | None = None
    restrict_blueprint_permissions: bool | None = None
    use_generative_ai: bool | None = None
    homepage_snippet: str | None = None
    onboarding_snippet: str | None = None
    user_status: str | None = None
    """me/organizations only."""
    user_role: str | None = None
    """me/organizations only."""
    joined_on: datetime | None = None
    disabled_on: datetime | None = None
    last_accessed: datetime | None = None
    subscription: Any = None
    """Only with ``with=subscription``; its shape is not published."""
    billing_info: Any = None
    """Only with ``with=billing_info``; its shape is not published."""
