"""Comments, problems and their answers."""

from datetime import datetime
from typing import Any, TypedDict

from attrs import frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId


def mention(user_id: int) -> str:
    """Return the markup that names a member in the content of a comment, such as ``@[1001]``.

    Nothing else notifies anybody: the server reads no list of recipients. Whoever is named may see the task from then
    on; reads show the full name in bold. Raises ConfigurationError for what is no member id (contract:
    create_task_comment).
    """
    if type(user_id) is not int or user_id < 1:
        msg = "user_id must be a member's id, a whole number: guests cannot be mentioned"
        raise ConfigurationError(msg)
    return f"@[{user_id}]"


@frozen(kw_only=True, repr=False)
class Comment(Model):
    """Describe one entry of a thread; a problem is open while ``resolve_id`` is None (contract: Comment)."""

    id: Id
    content: str | None = None
    label: str | None = None
    """Comment, problem, resolve, improvement or advice, in lower case; a new word is no error."""
    state: str | None = None
    """Open, hide-for-guests or collapsed, in lower case."""
    author_id: MemberId | None = None
    author_type: str | None = None
    author: dict[str, Any] | None = None
    sent_by: MemberId | None = None
    task_id: Id | None = None
    resolve_id: Id | None = None
    """On a problem: the comment that resolved it; null while open."""
    sent_to: tuple[int | dict[str, Any], ...] | None = None
    """Derived from the thread's participants; response only."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_updated_at: datetime | None = None
    recent_updated_at: datetime | None = None
    archived_at: datetime | None = None
    created_ago: str | None = None

    @property
    def is_open_issue(self) -> bool:
        """Tell whether this is a problem that nobody has resolved: it blocks the completion of its task."""
        return self.label == "problem" and self.resolve_id is None


class ResolveInput(TypedDict, total=False):
    """Arguments of the resolution of an issue (contract: ThreadResolve) beside the issue and the text."""

    state: str
    """open, hide-for-guests or collapsed."""


class CommentInput(ResolveInput, total=False):
    """Arguments of a comment (contract: CommentCreate) beside its text; recipients are named in the text."""

    label: str
    """comment, problem, resolve, improvement or advice; a comment labelled resolve resolves nothing."""
