"""Files: upload, metadata, bytes."""

from urllib.parse import quote

from tallyfy_async.sandbox import blobs
from tallyfy_async.sandbox import uploads as machine
from tallyfy_async.sandbox.activity import activity
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.multipart import parse
from tallyfy_async.sandbox.problems import Problem
from tallyfy_async.sandbox.records import Asset
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views.files import asset as view

routes = Routes()


def _note(call: Call, verb: str, row: Asset, text: str) -> None:
    kind = row.subject_type.lower()
    activity(call.tenant, verb, (kind, row.subject_id), text, now=call.now, actor=call.user.id)


@routes.add("POST", "/organizations/{org}/file", "upload_file", scope="unknown")
@routes.add("POST", "/organizations/{org}/assets", "upload_asset", scope="unknown")
def upload(call: Call) -> Reply:
    """Store a file; each call makes a new copy."""
    form = parse(call.incoming.headers.get("content-type", ""), call.incoming.body)
    row = machine.upload(call.world, call.tenant, call.member, form, call.settings)
    _note(call, "uploaded", row, f"File uploaded: {row.filename}")
    return item(view(call.lens, row))


@routes.add("GET", "/organizations/{org}/assets/{asset_id}", "get_asset", scope="unknown")
def get_asset(call: Call) -> Reply:
    """Read the metadata of a file."""
    return item(view(call.lens, machine.find(call.tenant, call.params["asset_id"])))


@routes.add("DELETE", "/organizations/{org}/assets/{asset_id}", "archive_asset", scope="unknown")
def archive_asset(call: Call) -> Reply:
    """Archive the record; the bytes stay."""
    row = machine.find(call.tenant, call.params["asset_id"])
    machine.archive(call.world, call.tenant, row)
    return item(view(call.lens, row))


def _content(call: Call) -> tuple[Asset, bytes]:
    """Find a file and its bytes; a record whose bytes are gone answers 500 for ever."""
    row = machine.find(call.tenant, call.params["asset_id"])
    content = blobs.load(call.settings, call.tenant, row.id)
    if content is None:
        raise Problem(500, {"message": "File does not exist."})
    return row, content


@routes.add("GET", "/organizations/{org}/file/{asset_id}", "view_file", scope="unknown")
def view_file(call: Call) -> Reply:
    """Stream a file with its own content type."""
    row, content = _content(call)
    return Reply(body=content, content_type=row.content_type)


@routes.add("GET", "/organizations/{org}/file/{asset_id}/dl", "download_file", scope="unknown")
def download_file(call: Call) -> Reply:
    """Download a file as an attachment; the feed tells of it."""
    row, content = _content(call)
    _note(call, "emitted", row, "File downloaded")
    return Reply(
        body=content,
        content_type="application/octet-stream",
        headers={"Content-Disposition": _disposition(row.filename)},
    )


def _disposition(filename: str) -> str:
    """Name the file; one that needs more than plain ASCII is named twice (RFC 6266)."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\' else "_" for char in filename)
    more = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{more}'


@routes.add("DELETE", "/organizations/{org}/file/{asset_id}", "delete_file", scope="unknown")
def delete_file(call: Call) -> Reply:
    """Delete a file and its bytes for good; the answer is empty."""
    row = machine.find(call.tenant, call.params["asset_id"])
    machine.delete(call.tenant, row, call.settings)
    return Reply(content_type=None)
