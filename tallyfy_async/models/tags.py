"""Tags as other objects show them."""

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id


@frozen(kw_only=True, repr=False)
class TagRef(Model):
    """Describe a tag that the server always writes bare, such as an industry tag."""

    id: Id | None = None
    title: str | None = None
    color: str | None = None
    type: str | None = None


@frozen(kw_only=True, repr=False)
class TagAssociation(Model):
    """Describe a tag on an object (with=tags).

    ``id`` is the association, which a detach call takes; ``tag_id`` is the tag (contract: TagAssociation).
    """

    id: int | str | None = None
    """Pivot row id, numeric: what the detach call takes."""
    tag_id: Id | None = None
    title: str | None = None
    color: str | None = None
    subject_id: Id | None = None
    subject_type: str | None = None
