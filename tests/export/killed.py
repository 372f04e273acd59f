"""A process that exports, to be killed: ``python -m tests.export.killed URL TOKEN ORGANIZATION PLACE``."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from tallyfy_async import TallyfyClient
from tests.export.place import Place


async def main(url: str, token: str, organization: str, path: str) -> None:
    place = Place(path=Path(path), is_file=path.endswith(".db"))
    async with TallyfyClient(token, base_url=url, organization=organization) as tallyfy:
        report = await place.export(tallyfy.organization(), concurrency=2)
    sys.stdout.write(f"{int(report.resumed)}\n")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
