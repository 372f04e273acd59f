"""What stands in columns beside a row's JSON."""

from __future__ import annotations

import json

from tallyfy_async.export.target import encodable


def as_text(value: object) -> str | None:
    """Return a scalar as text, as JSON spells it; None for what is no scalar."""
    if isinstance(value, str):
        return encodable(value)
    return json.dumps(value) if isinstance(value, bool | int | float) else None
