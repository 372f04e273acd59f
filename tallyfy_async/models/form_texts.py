"""Answers that come as text, such as the cells of a CSV file, into natural Python values."""

import json
from typing import Any

from tallyfy_async.models.fields import Capture, FormField, Prerun
from tallyfy_async.models.form_names import named
from tallyfy_async.models.form_values import option_texts


def from_text(field: Capture | Prerun | FormField, text: str) -> Any:
    """Return the value that a text stands for, to be encoded.

    Fields that take several values have them separated by semicolons or lines, or as JSON. What is no such text is
    returned as it is, so that encoding tells what is wrong with it.
    """
    if field.field_type not in {"multiselect", "table", "assignees_form", "file"}:
        return text
    if field.field_type == "multiselect" and named(text, option_texts(field), lambda option: (option,)):
        return text
    return _from_json(text) if text.lstrip()[:1] in {"[", "{"} else _parts(text, keep_blank=field.field_type == "table")


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _parts(text: str, *, keep_blank: bool) -> list[str | None]:
    parts = [part.strip() for line in text.splitlines() for part in line.split(";")]
    return [part or None for part in parts if part or keep_blank]
