"""Lists: pages, sorting, and the small grammar of filters."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .exchange import Reply, encode
from .records import JsonObject, whole
from .router import Call

Row = TypeVar("Row")


def words(text: str | None) -> set[str]:
    """Split a comma list; absent and empty are the same."""
    return {part.strip() for part in (text or "").split(",") if part.strip()}


def truthy(text: str | None) -> bool:
    """Read a query flag; the sources send the words true and false."""
    return text is not None and text.lower() in {"true", "1", "yes"}


def paged(
    call: Call,
    rows: Sequence[Row],
    render: Callable[[Row], bytes],
    *,
    unpaged: bool = False,
    fixed: bool = False,
    extra: Callable[[Sequence[Row]], JsonObject] | None = None,
) -> Reply:
    """Answer with one page of rows.

    `unpaged` lists honour without_pagination=true, which drops `meta`. A page past the end is empty; a per_page that
    is no positive number is ignored, one above the maximum is lowered to it; `fixed` lists ignore it altogether.
    `extra` adds members to `meta`.
    """
    if unpaged and truthy(call.query.get("without_pagination")):
        return everything(rows, render)
    shown, pagination = page(call, rows, fixed=fixed)
    meta = (extra(shown) if extra else {}) | {"pagination": pagination}
    return Reply(body=_envelope(shown, render, meta))


def everything(rows: Sequence[Row], render: Callable[[Row], bytes]) -> Reply:
    """Answer with all rows and no `meta`."""
    return Reply(body=_envelope(rows, render, None))


def page(call: Call, rows: Sequence[Row], *, fixed: bool = False) -> tuple[Sequence[Row], JsonObject]:
    """Cut out the page that the query asks for, and describe it."""
    default, most = call.settings.page_size(call.operation.name)
    size = default if fixed else min(_positive(call.query.get("per_page"), default), most)
    number = _positive(call.query.get("page"), 1)
    shown = rows[(number - 1) * size : number * size]
    return shown, _pagination(call, len(rows), len(shown), size, number)


def _envelope(rows: Sequence[Row], render: Callable[[Row], bytes], meta: JsonObject | None) -> bytes:
    tail = b"" if meta is None else b',"meta":' + encode(meta)
    return b'{"data":[' + b",".join([render(row) for row in rows]) + b"]" + tail + b"}"


def _positive(text: str | None, default: int) -> int:
    return whole(text) or default


def _pagination(call: Call, total: int, count: int, size: int, number: int) -> JsonObject:
    pages = max(1, -(-total // size))
    meta: JsonObject = {
        "total": total,
        "count": count,
        "per_page": size,
        "current_page": number,
        "total_pages": pages,
    }
    return meta | _links(call, number, pages)


def _links(call: Call, number: int, pages: int) -> JsonObject:
    style = call.settings.links_style
    if style in {"missing", "null", "map", "list"}:
        fixed: dict[str, JsonObject] = {"null": {"links": None}, "map": {"links": {}}, "list": {"links": []}}
        return fixed.get(style, {})
    before = "prev" if style == "prev" else "previous"
    links: dict[str, Any] = {}
    if number > 1:
        links[before] = call.incoming.link({"page": str(number - 1)})
    if number < pages:
        links["next"] = call.incoming.link({"page": str(number + 1)})
    return {"links": links or []}


def ordered(
    rows: Sequence[Row], wanted: str | None, keys: dict[str, Callable[[Row], Any]], default: str | None = None
) -> list[Row]:
    """Sort by a named key, a leading - reverses; rows without a value come last. Unknown names keep the order."""
    name = wanted or default or ""
    key = keys.get(name.lstrip("-"))
    if key is None:
        return list(rows)
    valued = [row for row in rows if key(row) is not None]
    rest = [row for row in rows if key(row) is None]
    return sorted(valued, key=key, reverse=name.startswith("-")) + rest
