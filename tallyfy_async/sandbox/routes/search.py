"""Search: one bucket a kind, each with its own pages."""

from tallyfy_async.sandbox import search as machine
from tallyfy_async.sandbox.exchange import Reply, json_reply
from tallyfy_async.sandbox.lists import page, truthy
from tallyfy_async.sandbox.php_query import parse
from tallyfy_async.sandbox.problems import invalid, required
from tallyfy_async.sandbox.records import JsonObject
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views.hits import hit

routes = Routes()


@routes.add("GET", "/organizations/{org}/search", "search", scope="unknown")
def search(call: Call) -> Reply:
    """Search the kinds that `on` names for the words of `search`; there is no `data` at the top."""
    query = call.query
    absent = [name for name in ("on", "search") if not query.get(name)]
    if absent:
        raise required(*absent)
    kinds = list(dict.fromkeys(word.strip() for word in query["on"].split(",") if word.strip()))
    if not kinds or any(kind not in machine.KINDS for kind in kinds):
        raise invalid("on", "The selected on is invalid.")
    wanted = parse(call.incoming.query_string).get("filter")
    return json_reply({kind: _bucket(call, kind, wanted) for kind in kinds})


def _bucket(call: Call, name: str, wanted: object) -> JsonObject:
    kind = machine.KINDS[name]
    rows = machine.find(call.tenant, kind, call.query["search"], machine.read_filter(kind, wanted))
    shown, pagination = page(call, rows)
    lens, tags = call.lens, truthy(call.query.get("tags"))
    return {"data": [hit(lens, name, row, tags=tags) for row in shown], "meta": {"pagination": pagination}}
