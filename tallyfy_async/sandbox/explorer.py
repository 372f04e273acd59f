"""What the sandbox shows to people and tools: the contract at /openapi.json, and Swagger UI over it at /."""

import json
from collections.abc import Collection
from pathlib import Path

from openapi_ui_bundles import swagger_ui

from . import contract
from .control import PREFIX
from .exchange import BASE, Incoming, Reply

_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".png": "image/png"}
_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tallyfy sandbox</title>
<link rel="stylesheet" href="/{PREFIX}/ui/swagger-ui.css">
<link rel="icon" type="image/png" href="/{PREFIX}/ui/favicon-32x32.png">
</head>
<body>
<div id="api"></div>
<script src="/{PREFIX}/ui/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({{
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  filter: true,
  requestInterceptor: (request) => {{
    request.headers["X-Tallyfy-Client"] = "Explorer";
    return request;
  }},
}});
</script>
</body>
</html>
"""


def answer(incoming: Incoming, operations: Collection[str]) -> Reply | None:
    """Answer a request for the page, its assets or the contract; None where it is for somebody else."""
    if incoming.method not in {"GET", "HEAD"} or incoming.prefixed:
        return None
    match incoming.segments:
        case ():
            return Reply(body=_PAGE.encode(), content_type="text/html; charset=utf-8")
        case ("openapi.json",):
            document = contract.served(operations, incoming.origin, BASE)
            return Reply(body=json.dumps(document).encode())
        case (first, "ui", name) if first == PREFIX:
            return _asset(name)
        case _:
            return None


def _asset(name: str) -> Reply | None:
    """Serve one file of Swagger UI; it comes with a package, so that nothing is loaded from elsewhere."""
    path = Path(swagger_ui.static_path) / name
    if Path(name).name != name or path.suffix not in _KINDS or not path.is_file():
        return None
    return Reply(body=path.read_bytes(), content_type=_KINDS[path.suffix], headers={"Cache-Control": "max-age=86400"})
