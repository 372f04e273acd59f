"""Tables of text: as wide as they need, or folded into a width; quick for a hundred thousand rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

Cells = Sequence[str]
GAP = "  "


def fitting(rows: Sequence[Cells], width: int | None) -> list[int]:
    """Return the widths of the columns: what they need, the widest cut where that is more than ``width``."""
    wanted = [max(map(_size, column)) for column in zip(*rows, strict=True)]
    if width is None:
        return wanted
    room = max(width - len(GAP) * (len(wanted) - 1), len(wanted))
    cap = next(cap for cap in range(room, 0, -1) if cap == 1 or sum(min(one, cap) for one in wanted) <= room)
    cut = [min(one, cap) for one in wanted]
    for place in [place for place, one in enumerate(wanted) if one > cap][: max(0, room - sum(cut))]:
        cut[place] += 1
    return cut


def lines(rows: Iterable[Cells], widths: Sequence[int], console: Console) -> Iterator[list[str]]:
    """Return the lines of rows, each as its cells, padded to the widths of their columns; what is wider is folded."""
    for row in rows:
        parts = [_folded(cell, width, console) for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*parts, fillvalue=""):
            yield [cell + " " * (width - _size(cell)) for cell, width in zip(line, widths, strict=True)]


def _size(cell: str) -> int:
    return len(cell) if cell.isascii() else cell_len(cell)


def _folded(cell: str, width: int, console: Console) -> Cells:
    if _size(cell) <= width:
        return (cell,)
    return [part.plain.rstrip() for part in Text(cell).wrap(console, width, overflow="fold")]
