"""What was answered to a form field, and how rules compare it (templates.md section 8)."""

import math
from collections.abc import Callable
from typing import Any

from .records import Condition, Field, Run, is_list, is_object
from .world import Tenant


def find(tenant: Tenant, run: Run, subject_type: str, field_id: str | None) -> tuple[Field | None, Any]:
    """Find a field of a run and its answer. What is gone or empty is None."""
    if field_id is None:
        return None, None
    if subject_type == "Prerun":
        checklist = tenant.checklists.get(run.checklist_id)
        fields = checklist.prerun if checklist else []
        return next((f for f in fields if f.id == field_id), None), run.prerun.get(field_id)
    for task in tenant.tasks_of(run):
        for field in task.captures:
            if field.id == field_id:
                return field, task.taskdata.get(field_id)
    return None, None


def texts(value: Any) -> list[str]:
    """Read an answer as the texts that a reader sees: options ticked, cells, names of files, people."""
    if is_object(value):
        if "text" in value:
            return texts(value["text"])
        return [text for part in value.values() for text in texts(part)]
    if is_list(value):
        return [text for entry in value for text in _entry(entry)]
    return [] if value is None or value == "" else [_spell(value)]


def _entry(entry: Any) -> list[str]:
    """Read one option, cell or file; an option counts when it is selected."""
    if not is_object(entry):
        return texts(entry)
    if "text" in entry:
        return texts(entry["text"]) if entry.get("selected") else []
    return texts(entry.get("filename") or entry.get("url") or entry.get("full_url") or entry.get("id"))


def _spell(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def compare(condition: Condition, field: Field | None, value: Any) -> bool:
    """Tell whether an answer is what a condition says."""
    seen = texts(_cell(condition, field, value))
    test = _TESTS.get(condition.operation)
    return test is not None and test(seen, _statement(condition.statement))


def _statement(statement: Any) -> list[str]:
    """Read what is compared with: a text, an option, or several of either, ticked or not."""
    if is_list(statement):
        return [text for entry in statement for text in texts(entry)]
    return texts(statement)


def _cell(condition: Condition, field: Field | None, value: Any) -> Any:
    """Look at one column of a table, where the condition names one."""
    if not condition.column or field is None or not is_list(value):
        return value
    return [cell for column, cell in zip(field.columns, value, strict=False) if column.get("label") == condition.column]


def _equals(seen: list[str], wanted: list[str]) -> bool:
    return bool(seen) and set(seen) == set(wanted)


def _contains(seen: list[str], wanted: list[str]) -> bool:
    return any(part in text for text in seen for part in wanted)


def _numbers(words: list[str]) -> list[float]:
    try:
        found = [float(word) for word in words]
    except ValueError:
        return []
    return found if all(math.isfinite(number) for number in found) else []


def _greater(seen: list[str], wanted: list[str]) -> bool:
    mine, bound = _numbers(seen), _numbers(wanted)
    return bool(mine and bound) and max(mine) > bound[0]


def _less(seen: list[str], wanted: list[str]) -> bool:
    mine, bound = _numbers(seen), _numbers(wanted)
    return bool(mine and bound) and min(mine) < bound[0]


_TESTS: dict[str, Callable[[list[str], list[str]], bool]] = {
    "equals": _equals,
    "not_equals": lambda seen, wanted: not _equals(seen, wanted),
    "equals_any": lambda seen, wanted: bool(set(seen) & set(wanted)),
    "contains": _contains,
    "not_contains": lambda seen, wanted: not _contains(seen, wanted),
    "greater_than": _greater,
    "less_than": _less,
    "is_empty": lambda seen, _: not seen,
    "is_not_empty": lambda seen, _: bool(seen),
}
