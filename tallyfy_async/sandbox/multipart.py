"""Bodies of multipart/form-data (RFC 7578), read from memory without touching a byte of a file."""

import re
from email.message import Message

from attrs import frozen

_LINE = b"\r\n"
_DASHES = b"--"
_PARAMETER = re.compile(r';\s*(name|filename)="((?:[^"\\]|\\.)*)"')
MOST_PARTS = 100


@frozen(kw_only=True)
class Part:
    """One field of a form; a file has a name of its own, without a path."""

    content: bytes
    filename: str | None
    content_type: str

    @property
    def text(self) -> str:
        """Return the content of a plain field."""
        return self.content.decode("utf-8", "replace")


def parse(content_type: str, body: bytes) -> dict[str, Part]:
    """Read the fields by name; the last of a name wins. What is no form, or is cut short, gives what was whole."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        return {}
    delimiter = _DASHES + boundary.encode("latin-1", "replace")
    parts: dict[str, Part] = {}
    start = body.find(delimiter)
    for _ in range(MOST_PARTS):
        head = start + len(delimiter)
        end = body.find(_LINE + delimiter, head)
        if start < 0 or end < 0 or body.startswith(_DASHES, head):
            break
        name, part = _part(body, head, end)
        parts[name] = part
        start = end + len(_LINE)
    return parts


def _part(body: bytes, start: int, end: int) -> tuple[str, Part]:
    """Read one part between two delimiters: headers, an empty line, content."""
    border = body.find(_LINE * 2, start, end)
    border = end if border < 0 else border
    head = body[start:border].decode("utf-8", "replace")
    headers = {name.strip().lower(): text for name, _, text in (line.partition(":") for line in head.splitlines())}
    named = dict(_PARAMETER.findall(headers.get("content-disposition", "")))
    filename = named.get("filename")
    part = Part(
        content=body[border + len(_LINE) * 2 : end],
        filename=None if filename is None else re.split(r"[\\/]", filename)[-1],
        content_type=headers.get("content-type", "application/octet-stream").strip(),
    )
    return named.get("name", ""), part
