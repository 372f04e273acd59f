"""Every knob of the sandbox, as one frozen value."""

from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from attrs import field, frozen

DateSpelling = Literal["Z", "millis", "micros", "offset", "space"]
LinksStyle = Literal["auto", "list", "map", "null", "missing", "prev"]

MONTH = 30 * 24 * 3600
SEED_EPOCH = 1_793_523_600
"""2026-11-01 09:00:00 UTC: the moment that the seeded world calls "now"."""

DEFAULT_PAGE_SIZES: Mapping[str, tuple[int, int]] = {
    "list_users": (9999, 9999),
    "list_guests": (999, 999),
    "list_guest_tasks": (10, 10),
    "list_activity_feeds": (20, 100),
}
"""Operation -> (default, maximum) of per_page where it is not the usual (10, 100). Source: identity.md, section 5."""


@frozen(kw_only=True)
class Settings:
    """Describe how this sandbox behaves.

    Lifetimes are seconds. The defaults are what the seeds print (3600 s for every access token); everything that the
    sources contradict each other on is a setting.
    """

    access_life: float = 3600
    """Life of access tokens of the password and refresh grants (seed 002)."""
    refresh_life: float = 12 * MONTH
    application_life: float = 3600
    """Life of client_credentials tokens (seed 001)."""
    personal_life: float = 6 * MONTH
    user_token_life: float = 3600
    """Life of tokens that an application asks for a member (seed 001)."""
    implicit_life: float = 840
    """Life of tokens that the authorization page hands to the browser (seed 003)."""
    implicit_delivery: Literal["fragment", "query"] = "fragment"
    """Where such a token travels: after # as seed 003 says, or after ? as its example prints."""
    code_life: float = 600
    """Life of authorization codes: ten minutes, as Passport has it."""
    require_pkce: bool = False
    """Refuse authorization codes without PKCE to every client; clients without a secret need it always."""
    send_iss: bool = False
    """Add `iss` to the authorization response (RFC 9207)."""
    league: Literal[8, 9] = 9
    """OAuth server generation; to a dead refresh token 8 answers 401 invalid_request, 9 answers 400 invalid_grant,
    and to a dead authorization code 400 with the same two words."""
    rotate_refresh: bool = True
    """A refresh spends the refresh token and issues another one."""
    refresh_returns_refresh_token: bool = True
    """False: the reply to a refresh holds no refresh token, and the presented one stays valid."""
    revoke_old_access_on_refresh: bool = True
    body_encoding: Literal["form", "json", "any"] = "form"
    client_auth: Literal["body", "headers", "any"] = "body"
    refresh_path: Literal["tokens", "cookie", "off"] = "tokens"
    """What POST /oauth/token/refresh answers: tokens, the text `Refreshed.` of a browser route, or 404."""
    missing_client_header: Literal["401", "404"] = "401"
    """What a call without X-Tallyfy-Client gets: the sources say both."""
    enforce_scopes: bool = True
    """Refuse capabilities that seed 000 names when the token's scopes do not hold them (403)."""

    latency: float = 0.0
    """Seconds by which every reply of the API is late, errors too; its effect is not. The token endpoint is quick."""
    rate_limit_per_minute: int | None = None
    """Calls in a rolling minute per user (per address when signed out); None: unlimited."""
    rate_limit_code: bool = False
    """Add RATE_LIMIT_EXCEEDED to the body of a burst 429, as the hourly caps have it."""
    validation_style: Literal["docs", "laravel"] = "docs"
    full_seats: int | None = None
    """Administrators and standard members that an organization may have, invited ones included; None: any number."""
    light_seats: int | None = None
    complete_twice: Literal["ok", "error"] = "ok"
    """Completing a completed task: `ok` changes nothing (server code), `error` answers 422 (documentation)."""

    guest_invites_per_hour: int | None = 30
    """Guests that an organization may invite in a rolling hour; None: any number. New ones in comments count."""
    comments_per_hour: int | None = 120
    """Comments that an organization may make in a rolling hour; None: any number."""
    trial_guests: int | None = None
    """Guests beyond which a trial organization turns no member into a guest; None: no trial."""
    guest_read_status: Literal[200, 201] = 200
    """What reading one guest answers: the documentation prints 201 and doubts it."""
    unknown_guest_update: Literal["404", "422"] = "404"
    """What changing an unknown guest answers: the documentation, or the rule that the e-mail must exist."""
    group_missing: Literal["empty", "keep"] = "empty"
    """What a group update without `members` or `guests` does to that list; the sources only say that it is replaced."""
    max_upload: int = 100 * 1024 * 1024
    """Bytes of the largest file; a larger one is a 422, a body beyond that with a mebibyte to spare a 413."""
    files_directory: str | None = None
    """Where uploaded bytes are kept; None: in memory."""
    delete_unarchived: Literal["422", "404"] = "422"
    """What deleting a run for good answers while it is not archived: one page prints both."""
    unknown_value_row: Literal["422", "500"] = "422"
    """Overwriting a stored value by an unknown id: 500 as measured, or the 422 that is planned."""

    tag_title: Literal["optional", "required"] = "optional"
    """Whether changing a tag needs its title, as the documentation says; official clients send the colour alone."""
    references_style: Literal["list", "map"] = "list"
    """How an archived template that nothing embedded prints no references: [] (server code) or {} (documentation)."""
    webhooks: Literal["on", "off"] = "on"
    """Post to the URLs of templates, steps, tasks, rules and subscriptions."""
    webhook_hosts: Literal["loopback", "any"] = "loopback"
    """Which hosts are posted to: those of this machine alone (localhost, 127.0.0.0/8, ::1), or any."""
    webhook_timeout: float = 5.0
    """Seconds that a receiver has for its whole answer; there is one attempt."""
    webhook_date_field_format: Literal["yyyy-MM-ddTHH:mm:ssZ", "d/m/Y h:i A T"] = "yyyy-MM-ddTHH:mm:ssZ"
    """How webhooks spell the answers of date fields: ISO 8601 in UTC, or in the zone of the organization."""
    frozen_field_types: bool = False
    """Refuse to change the type of a form field, as the older sources have it."""

    page_sizes: Mapping[str, tuple[int, int]] = field(factory=lambda: dict(DEFAULT_PAGE_SIZES))
    """Operation -> (default, maximum) of per_page; operations that are not named have (10, 100)."""
    links_style: LinksStyle = "auto"
    """`auto`: [] without neighbours, else an object with previous and next; the others force one spelling."""
    owners_style: Literal["ids", "objects"] = "ids"
    date_spelling: DateSpelling | None = None
    """Force one of the five response spellings; None: the one that the sources show for each record."""

    organizations: int = 2
    """Organizations of the seeded user; only the first one is large."""
    templates: int = 12
    runs: int = 300
    tasks: int = 5000
    users: int = 40
    seed_epoch: int = SEED_EPOCH
    record: bool = False
    """Keep every received request, secrets included, in `stats.received`."""

    def __attrs_post_init__(self) -> None:
        """Raise ValueError on a value that its setting does not take."""
        for name, hint in get_type_hints(Settings).items():
            if name != "page_sizes" and not _fits(getattr(self, name), hint):
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {hint}")

    @property
    def max_body(self) -> int:
        """Return how many bytes of a request body are read."""
        return self.max_upload + 1024 * 1024

    def page_size(self, operation: str) -> tuple[int, int]:
        """Return (default, maximum) of per_page for a list operation."""
        return self.page_sizes.get(operation, (10, 100))


def _fits(value: object, hint: Any) -> bool:
    """Tell whether a value is of a setting's type; numbers are never negative."""
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_args(hint):
        return any(_fits(value, part) for part in get_args(hint))
    if hint is bool or hint is NoneType:
        return isinstance(value, hint)
    if hint is str:
        return isinstance(value, str)
    kinds = (int, float) if hint is float else (int,)
    return isinstance(value, kinds) and not isinstance(value, bool) and value >= 0


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _mask(value: str) -> str:
    return "'***'" if value else "''"


@frozen(kw_only=True)
class Credentials:
    """Hold what a client needs to log in to one sandbox. The repr shows no secret."""

    organization: str
    client_id: str
    client_secret: str = field(repr=_mask)
    username: str
    password: str = field(repr=_mask)
    personal_token: str = field(repr=_mask)
    organizations: tuple[str, ...] = field(default=(), converter=_texts)
    """Every organization of the user; `organization` is the first."""
    public_client_id: str = ""
    """The client without a secret, for desktop programs."""
    redirect_uris: tuple[str, ...] = field(default=(), converter=_texts)
    """Registered for both clients. On loopback addresses any port will do."""
    authorize_url: str = ""
    """The page on which a browser logs in."""
