"""Bodies that the benchmark server sends: tasks as the API has them, and keys that the models do not know."""

from __future__ import annotations

import json
from typing import Any

PER_PAGE = 100
_MARK = "000PAGE000"  # as long as the number that takes its place

USER = json.dumps(
    {"data": {"id": 1001, "email": "ada@example.com", "first_name": "Ada", "last_name": "Byron", "active": True}}
).encode()


def task_id(index: int) -> str:
    """Return the id of the task at ``index``, from 0, of the whole list."""
    return f"{index % PER_PAGE:022x}{index // PER_PAGE + 1:010x}"


def task(number: int) -> dict[str, Any]:
    """Return a task of some 1.5 KB with 43 keys that the contract knows and 3 that it does not."""
    return {
        "id": f"{number:022x}{_MARK}",
        "increment_id": 10_000 + number,
        "title": f"Review the proposal of customer {number}",
        "original_title": "Review the proposal of customer {{name}}",
        "allow_guest_owners": True,
        "run_id": "5f1e2d3c4b5a69788776655443322110",
        "checklist_id": "c0ffee2d3c4b5a69788776655443322a",
        "step_id": "5e1f2d3c4b5a6978877665544332211b",
        "alias": "review-the-proposal-117552",
        "taskdata": {"b4c1d2e3f405162738495a6b7c8d9e0f": "A text answer", "0f1e2d3c4b5a69788776655443322110": 17},
        "owners": {"users": [1001, 1002], "guests": ["bob@example.org"], "groups": []},
        "is_completable": True,
        "status": "in-progress",
        "status_label": "in-progress",
        "task_type": "task",
        "is_approved": None,
        "position": number,
        "blueprint_position": number,
        "started_at": "2026-03-01T09:00:00Z",
        "deadline": "2026-03-15T17:00:00Z",
        "created_at": "2026-03-01T09:00:00.000Z",
        "last_updated": "2026-03-01T09:30:00.000000Z",
        "archived_at": None,
        "completed_at": "2026-03-14T10:11:12Z" if number % 2 else None,
        "starter_id": 1001,
        "completer_id": 1002 if number % 2 else None,
        "completer_guest_id": None,
        "completer_guest": None,
        "is_oneoff_task": False,
        "everyone_must_complete": False,
        "completion_progress": 0,
        "has_deadline_dependent_child_tasks": False,
        "can_complete_only_assignees": True,
        "max_assignable": 0,
        "webhook": None,
        "prevent_guest_comment": False,
        "is_soft_start_date": False,
        "send_chromeless": False,
        "stage_id": None,
        "problem": False,
        "run_status": "active",
        "top_secret": False,
        "threads_count": 3,
        "x_reminders": [{"before": "1 day", "sent": True}],
        "x_origin": "automation",
        "x_score": 0.75,
    }


TASK = json.dumps({"data": task(0)}).replace(_MARK, f"{1:010x}").encode()
"""One task in an envelope, the first of the whole list."""

_TITLE = json.dumps(task(0)["title"]).encode()


def titled(title: str) -> bytes:
    """Return ``TASK`` with another title."""
    return TASK.replace(_TITLE, json.dumps(title).encode(), 1)


class Pages:
    """Pages of 100 tasks, encoded once; only the ids and the numbers differ from page to page."""

    def __init__(self, total_pages: int) -> None:
        self._items = json.dumps([task(number) for number in range(PER_PAGE)]).encode()
        self._pagination = {"total": total_pages * PER_PAGE, "count": PER_PAGE, "total_pages": total_pages}

    def encode(self, number: int) -> bytes:
        """Return the body of page ``number``, from 1."""
        pagination = {**self._pagination, "per_page": PER_PAGE, "current_page": number}
        items = self._items.replace(_MARK.encode(), f"{number:010x}".encode())
        return b'{"data": ' + items + b', "meta": {"pagination": ' + json.dumps(pagination).encode() + b"}}"
