"""The endpoints that seed 000 added, renamed and removed on 2018-11-08, and the lookup that refuses the old ones."""

import enum
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import unquote, urlencode

from attrs import field, frozen

from tallyfy_async.errors import EndpointRemovedError, EndpointRenamedError

EFFECTIVE = "2018-11-08"
"""The day of the change (seed 000)."""


class Kind(enum.StrEnum):
    """What became of an endpoint."""

    RENAMED = "renamed"
    """The same methods answer on another path."""
    REPLACED = "replaced"
    """Removed; the seed says what to use instead."""
    REMOVED = "removed"
    """Removed without replacement."""


def _segments(path: str) -> tuple[str, ...]:
    return tuple(unquote(segment) for segment in path.partition("?")[0].partition("#")[0].split("/") if segment)


def _is_placeholder(segment: str) -> bool:
    return segment.startswith("{")


@frozen(kw_only=True)
class Migration:
    """One row of the seed's lists.

    Attributes:
        row: place in the seed: 1 to 12 renamed, 13 to 40 removed.
        kind: what became of it.
        methods: old HTTP methods; empty means every method, because the seed names none.
        path: old path template.
        replacement_methods: methods to use instead; for a renamed row the same as ``methods``.
        replacement_path: path template to use instead, None where there is none.
        replacement_query: query that the replacement needs.
        hint: the nearest thing in today's API where the seed names no replacement; not the seed's word.

    """

    row: int
    kind: Kind
    methods: tuple[str, ...]
    path: str
    replacement_methods: tuple[str, ...] = ()
    replacement_path: str | None = None
    replacement_query: Mapping[str, str] = field(factory=dict[str, str])
    hint: str | None = None

    def replacement(self, method: str | None = None) -> str | None:
        """Return method, path template and query to use instead of a call of that method; None where there is none."""
        if self.replacement_path is None:
            return None
        verb = method if method in self.replacement_methods else "/".join(self.replacement_methods)
        query = f"?{urlencode(self.replacement_query)}" if self.replacement_query else ""
        return f"{verb} {self.replacement_path}{query}"


def _renamed(row: int, methods: str, path: str, new: str) -> Migration:
    verbs = tuple(methods.split())
    return Migration(
        row=row, kind=Kind.RENAMED, methods=verbs, path=path, replacement_methods=verbs, replacement_path=new
    )


def _replaced(row: int, methods: str, path: str, new: str, query: Mapping[str, str] | None = None) -> Migration:
    verb, _, new_path = new.partition(" ")
    return Migration(
        row=row,
        kind=Kind.REPLACED,
        methods=tuple(methods.split()),
        path=path,
        replacement_methods=(verb,),
        replacement_path=new_path,
        replacement_query=query or {},
    )


def _removed(row: int, methods: str, path: str, hint: str | None = None) -> Migration:
    return Migration(row=row, kind=Kind.REMOVED, methods=tuple(methods.split()), path=path, hint=hint)


MIGRATIONS: tuple[Migration, ...] = (
    _renamed(1, "GET", "/url-check", "/utils/check-url"),
    _renamed(2, "GET", "/countries", "/utils/countries"),
    _renamed(3, "GET", "/p/static/config", "/utils/config"),
    _renamed(4, "GET", "/token", "/support/token"),
    _renamed(5, "GET PUT", "/organizations/{org}/users/me", "/organizations/{org}/me"),
    _renamed(6, "GET POST", "/organizations/{org}/users/me/preferences", "/organizations/{org}/me/preferences"),
    _renamed(7, "GET POST", "/organizations/{org}/accounts/views", "/organizations/{org}/me/process-views"),
    _renamed(8, "GET PUT", "/organizations/{org}/accounts/views/{id}", "/organizations/{org}/me/process-views/{id}"),
    _renamed(9, "GET", "/organizations/{org}/role", "/organizations/{org}/me/role"),
    _renamed(10, "PUT", "/organizations/{org}/accounts", "/organizations/{org}/me"),
    _renamed(11, "GET", "/organizations", "/me/organizations"),
    _renamed(12, "PUT", "/organizations/{org}/accounts/{id}", "/organizations/{org}/users/{id}"),
    _removed(13, "", "/organizations/{org}/checklists/{checklist_id}/import-steps"),
    _removed(14, "", "/organizations/{org}/checklists/import"),
    _removed(
        15,
        "",
        "/organizations/{org}/steps/{step_id}/copy",
        hint="POST /organizations/{org}/checklists/{checklist_id}/steps/{step_id}/clone",
    ),
    _removed(16, "GET", "/organizations/{org}/integrations/{type}"),
    _removed(17, "POST", "/organizations/{org}/integrations/{type}"),
    _removed(18, "PUT", "/organizations/{org}/integrations/{type}"),
    _replaced(
        19, "GET", "/organizations/{org}/billing-info", "GET /organizations/{org}", query={"with": "billing_info"}
    ),
    _removed(20, "", "/organizations/{org}/permissions"),
    _removed(21, "GET", "/organizations/{org}/users/username/{username}", hint="GET /organizations/{org}/users?q=…"),
    _replaced(22, "", "/auth/login", "POST /oauth/token"),
    _removed(23, "", "/auth/check-reset-code"),
    _removed(24, "", "/auth/reset-password-from-account"),
    _removed(25, "", "/auth/resend-activation"),
    _removed(26, "GET POST", "/organizations/{org}/guests/tasks/{code}/comments"),
    _removed(27, "", "/webhooks/start-run", hint="POST /organizations/{org}/runs"),
    _removed(28, "", "/webhooks/post-comment", hint="POST /organizations/{org}/tasks/{task_id}/comment"),
    _removed(29, "", "/zapier/api/hooks", hint="POST /organizations/{org}/users/{user_id}/add-watcher"),
    _removed(30, "", "/zapier/api/hooks/{id}", hint="DELETE /organizations/{org}/remove-watcher/{watcher_id}"),
    _removed(
        31, "GET POST PUT DELETE", "/organizations/{org}/comments", hint="/organizations/{org}/tasks/{task_id}/comment"
    ),
    _removed(
        32,
        "GET",
        "/organizations/{org}/runs/{run}/activities",
        hint="GET /organizations/{org}/activity-feeds?entity_type=run&entity_id=…",
    ),
    _removed(
        33,
        "GET",
        "/organizations/{org}/checklists/{checklist}/activities",
        hint="GET /organizations/{org}/activity-feeds?entity_type=checklist&entity_id=…",
    ),
    _removed(
        34,
        "GET",
        "/organizations/{org}/steps/{step}/activities",
        hint="GET /organizations/{org}/activity-feeds?entity_type=step&entity_id=…",
    ),
    _removed(
        35,
        "GET",
        "/organizations/{org}/runs/{runs}/tasks/{task}/activities",
        hint="GET /organizations/{org}/activity-feeds?entity_type=task&entity_id=…",
    ),
    _removed(
        36, "GET", "/organizations/{org}/comments/{comment}/activities", hint="GET /organizations/{org}/activity-feeds"
    ),
    _removed(37, "GET", "/organizations/{org}/users/{user}/activities", hint="GET /organizations/{org}/activity-feeds"),
    _removed(38, "", "/organizations/{org}/integrations/hotdocs-package"),
    _removed(39, "", "/organizations/{org}/integrations/hotdocssession"),
    _replaced(
        40, "PUT", "/organizations/{org}/checklists/{id}/activate", "PUT /organizations/{org}/checklists/{id}/restore"
    ),
)
"""The 40 rows of seed 000, in its order. Only GET of billing-info is gone: its other methods stay."""


def _placeholders(segments: tuple[str, ...]) -> int:
    return sum(map(_is_placeholder, segments))


_SPECIFIC_FIRST = sorted(((_segments(row.path), row) for row in MIGRATIONS), key=lambda entry: _placeholders(entry[0]))


@frozen(kw_only=True)
class Added:
    """An endpoint that seed 000 lists as new.

    Attributes:
        method: HTTP method; the seed names none, seeds 001 and 002 show POST for the first.
        path: its path.
        purpose: the seed's words.

    """

    method: str
    path: str
    purpose: str


ADDED: tuple[Added, ...] = (
    Added(method="POST", path="/oauth/token", purpose="get access token"),
    Added(method="POST", path="/oauth/token/refresh", purpose="refresh access token"),
)
"""The two new endpoints of seed 000."""


def find(method: str, path: str) -> Migration | None:
    """Return the row that a call falls under, None where the endpoint is not an old one.

    ``path`` is relative to the base URL, with or without leading slash, with ids or ``{placeholders}``; its query is
    ignored. A row that spells a segment out wins over one that has a placeholder there. HEAD counts as GET.
    """
    verb = "GET" if method.upper() == "HEAD" else method.upper()
    segments = _segments(path)
    for old, row in _SPECIFIC_FIRST:
        if (not row.methods or verb in row.methods) and _covers(old, segments):
            return row
    return None


def _covers(old: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    pairs = zip(old, segments, strict=False)
    return len(old) == len(segments) and all(_is_placeholder(part) or part == given for part, given in pairs)


def refuse(method: str, path: str) -> None:
    """Raise for a call of an endpoint that seed 000 renamed or removed; return for every other.

    Raises EndpointRenamedError or EndpointRemovedError, both with ``.replacement``.
    """
    row = find(method, path)
    if row is not None:
        _raise(row, method.upper())


def _raise(row: Migration, method: str) -> NoReturn:
    instead = row.replacement(method)
    old = f"{method} {row.path}"
    if row.kind is Kind.RENAMED:
        msg = f"{old} was renamed on {EFFECTIVE}: call {instead}"
        raise EndpointRenamedError(msg, replacement=instead)
    remedy = (
        f": call {instead}" if instead else f"; the nearest today is {row.hint}" if row.hint else " without replacement"
    )
    msg = f"{old} was removed on {EFFECTIVE}{remedy}"
    raise EndpointRemovedError(msg, replacement=instead)
