"""Tags: the organization's own, and their place on templates and runs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.filters import TagFilters
from tallyfy_async.models.tags import Tag, TagAssociation, TagCreate, TagUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, query_of, with_of
from tallyfy_async.resources.custom_fields import TagCustomFields
from tallyfy_async.resources.merging import changes, relation_id

_LIST = "/organizations/{org}/tags"
_ONE = f"{_LIST}/{{tag_id}}"
_ON = "/organizations/{org}/checklists/tags"
_operation = partial(Operation, scopes="organization")
_attachment = partial(Operation, scopes=("template", "process"))

LIST = _operation(id="list_tags", method="GET", path=_LIST, call="org.tags.list", max_per_page=100)
GET = _operation(id="get_tag", method="GET", path=_ONE, call="org.tags.get")
CREATE = _operation(id="create_tag", method="POST", path=_LIST, call="org.tags.create")
UPDATE = _operation(id="update_tag", method="PUT", path=_ONE, call="org.tags.update")
DELETE = _operation(id="delete_tag", method="DELETE", path=_ONE, call="org.tags.delete")
RESTORE = _operation(
    id="restore_tag", method="PUT", path=f"{_ONE}/restore", call="org.tags.restore", confidence="inferred"
)
ATTACH = _attachment(id="attach_tag", method="POST", path=_ON, call="org.tags.attach")
DETACH = _attachment(id="detach_tag", method="DELETE", path=f"{_ON}/{{id}}", call="org.tags.detach")

_SUBJECTS = {"checklist": "Checklist", "template": "Checklist", "run": "Run", "process": "Run"}


class _Attachment(TypedDict):
    tag_id: str
    subject_id: str
    subject_type: str
    tag_type: str


@frozen(eq=False)
class Tags(Resource):
    """Tags of the organization; administrators write them. Templates and runs carry them."""

    @property
    def custom_fields(self) -> TagCustomFields:
        """The custom field values of tags."""
        return TagCustomFields(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[TagFilters]
    ) -> Pager[Tag]:
        """List tags, without those that the machine made unless ``all`` is true (contract: list_tags)."""
        query = query_of(TagFilters, filters, "tags.list")
        if query.get("auto_generated"):
            query["all"] = True
        elif not query.get("all"):
            query.pop("all", None)  # the server knows the word true only
        return self._list(LIST, Tag, query=query, per_page=per_page, options=options)

    async def find_by_name(self, title: str, *, options: RequestOptions | None = None) -> Tag | None:
        """Return the tag with exactly this title, None where there is none."""
        async for one in self.list(q=title, all=True, options=options):
            if one.title == title:
                return one
        return None

    async def get(
        self, tag_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Tag:
        """Read one tag; ``with_=["statistics"]`` counts what carries it (contract: get_tag)."""
        return await self._item(GET, Tag, {"tag_id": tag_id}, query=with_of(with_), options=options)

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[TagCreate]) -> Tag:
        """Create a tag; administrators only (contract: create_tag).

        It is sent once. Raises ValidationError for a title that is taken or longer than 30 characters, and for a color
        that is no hash with six hex digits.
        """
        return await self._item(CREATE, Tag, payload=write(TagCreate, fields, what="tags.create"), options=options)

    async def update(self, tag_id: str, *, options: RequestOptions | None = None, **fields: Unpack[TagUpdate]) -> Tag:
        """Change title or color of a tag; what is not given stays as it is (contract: update_tag).

        Documents disagree on whether the server takes a color alone, so the tag is read first unless both are given.
        """
        body = changes(TagUpdate, fields, "tags.update")
        if len(body) < len(TagUpdate.__annotations__):
            now = await self.get(tag_id, options=options)
            body = {"title": now.title, **({} if now.color is None else {"color": now.color}), **body}
        return await self._item(UPDATE, Tag, {"tag_id": tag_id}, payload=body, options=options)

    async def delete(self, tag_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a tag for good and take it off everything; no error for an unknown one (contract: delete_tag)."""
        await self._call(DELETE, {"tag_id": tag_id}, options=options)

    async def restore(self, tag_id: str, *, options: RequestOptions | None = None) -> Tag:
        """Bring a deleted tag back (contract: restore_tag).

        Inferred: no official document shows it, and the newest ones call a deletion final.
        """
        return await self._item(RESTORE, Tag, {"tag_id": tag_id}, options=options)

    async def attach(
        self,
        tag_id: str,
        *,
        subject_id: str,
        subject_type: str,
        tag_type: str = "private",
        options: RequestOptions | None = None,
    ) -> TagAssociation:
        """Put a tag on a template (``subject_type="Checklist"``) or a run (``"Run"``); its ``id`` takes it off again.

        ``tag_type`` is private for the organization's own tags, public for those of all. Doing it twice makes no second
        association, but a second entry in the activity feed. Raises ValidationError for a subject that is unknown or
        archived and for a tag of the other type (contract: attach_tag).
        """
        if subject_type not in _SUBJECTS.values():
            near = _SUBJECTS.get(str(subject_type).lower(), "Checklist' or 'Run")
            msg = f"tags.attach: subject_type must be '{near}'"
            raise ConfigurationError(msg)
        given = {"subject_type": subject_type, "tag_type": tag_type}
        ids = {"tag_id": body_id("tag_id", tag_id), "subject_id": body_id("subject_id", subject_id)}
        body = write(_Attachment, {**ids, **given}, what="tags.attach")
        return await self._item(ATTACH, TagAssociation, payload=body, options=options)

    async def detach(self, id: int | str, *, options: RequestOptions | None = None) -> None:  # noqa: A002 - contract's
        """Take a tag off a template or run, by the integer id of the association (contract: detach_tag).

        ``attach`` returns it, and ``with_=["tags"]`` shows it. Raises ConfigurationError for the id of a tag: the
        server would take it for 0, remove nothing and say nothing.
        """
        await self._call(DETACH, {"id": relation_id("id", id, 'as with_=["tags"] shows it')}, options=options)
