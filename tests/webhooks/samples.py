"""Webhook bodies: the examples of the contract, and what is made of them."""

from __future__ import annotations

import copy
import json
import pathlib
from typing import Any

import tallyfy_async.sandbox

ORGANIZATION = "f1e2d3c4b5a697887766554433221100"
OTHER = "00112233445566778899aabbccddeeff"

_CONTRACT = json.loads(pathlib.Path(tallyfy_async.sandbox.__file__).with_name("openapi.json").read_text("utf-8"))[
    "components"
]["schemas"]
TASK: dict[str, Any] = _CONTRACT["WebhookTaskPayload"]["example"]
PROCESS: dict[str, Any] = _CONTRACT["WebhookProcessPayload"]["example"]
LATER = "2025-10-02T14:35:00Z"
EARLIER = "2025-10-02T14:25:00Z"


def task(identifier: str = "task003ghi789xyz", **changes: Any) -> dict[str, Any]:
    """Return the body of a completed task with other members."""
    payload = copy.deepcopy(TASK)
    payload["this_task"] |= {"id": identifier, **changes}
    return payload


def process(**changes: Any) -> dict[str, Any]:
    """Return the body of a launch, with other members."""
    return {**copy.deepcopy(PROCESS), **changes}


def organization_event(name: str = "task.comment_added", **more: Any) -> dict[str, Any]:
    """Return the body of an organization's event."""
    return {"event": name, "task": {"id": "t1", "run_id": "r1"}, **more}
