"""Where the texts of a JSON document stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}:,]|[^\s"\[\]{}:,]++')
_CHARACTER: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)

_DEEPEST: Final = 200

Path = tuple[str | int, ...]


@frozen(kw_only=True)
class Text:
    """A text in a JSON document.

    Attributes:
        path: keys and indexes that lead to it; for a key, those that lead to its value.
        value: the text.
        start, end: where it stands, its quotes included.
        is_key: whether it is a key.

    """

    path: Path
    value: str
    start: int
    end: int
    is_key: bool

    def offsets(self, raw: str) -> list[int]:
        """Return for each character of the value, and for its end, where it stands in the document."""
        if raw.find("\\", self.start, self.end) < 0:
            return list(range(self.start + 1, self.end))
        places = [match.start() for match in _CHARACTER.finditer(raw, self.start + 1, self.end - 1)]
        return [*places, self.end - 1]


def texts(raw: str) -> Iterator[Text]:
    """Yield the texts of a JSON document in their order; a broken one is followed as far as it goes.

    Raises ValueError where it is nested deeper than any document of these kinds.
    """
    stack: list[list[str | int | None]] = []
    for token in _TOKEN.finditer(raw):
        word = token[0]
        if word in "{[":
            stack.append([word, None if word == "{" else 0])
            if len(stack) > _DEEPEST:
                raise ValueError("nested too deep")
        elif word in "}]":
            if not stack:
                return
            stack.pop()
        elif word == "," and stack:
            index = stack[-1][1]
            stack[-1][1] = index + 1 if isinstance(index, int) else None
        elif word.startswith('"'):
            text = _text(token, stack)
            if text is not None:
                yield text


def _text(token: re.Match[str], stack: list[list[str | int | None]]) -> Text | None:
    word = token[0]
    if "\\" not in word and len(word) > 1 and word[-1] == '"':
        value = word[1:-1]
    else:
        try:
            value = str(json.loads(word, strict=False))
        except ValueError:
            return None
    is_key = bool(stack) and stack[-1][0] == "{" and stack[-1][1] is None
    if is_key:
        stack[-1][1] = value
    path = tuple(key for _, key in stack if key is not None)
    return Text(path=path, value=value, start=token.start(), end=token.end(), is_key=is_key)
