"""Importing and constructing a client, against the official ``tallyfy`` 3.1.0 and against ``openai``.

Each in a process of its own, whose start does not count; all sides have their bytecode. httpx and httpcore import trio
and click where these are installed, though nothing here or there requires them, so the judged lines hide both from all
sides: that is what a plain installation is like. Information: the same with everything that this environment has, and
up to the reply of a first request, because what is not loaded at the start is loaded then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.harness import Goal, Line, alternate, fresh, server

_INFORMATION = 3
"""Rounds of what has no goal."""

_PLAIN = "import sys; sys.modules.update(trio=None, click=None)\n"
_STARTED = "from time import perf_counter\nstarted = perf_counter()\n"
_ENDED = "\nprint((perf_counter() - started) * 1e3)"

_OURS = _STARTED + "from tallyfy_async import TallyfyClient\nclient = TallyfyClient('token')" + _ENDED
_PEER = _STARTED + "from tallyfy import TallyfySDK\nclient = TallyfySDK(api_key='token')" + _ENDED
_OPENAI = _STARTED + "from openai import AsyncOpenAI\nclient = AsyncOpenAI(api_key='token')" + _ENDED

_OUR_CALL = """
import sys
import anyio
from tallyfy_async import TallyfyClient
async def main():
    async with TallyfyClient("token", base_url=sys.argv[1]) as client:
        assert (await client.me.get()).id == 1001
anyio.run(main)
"""
_PEER_CALL = """
import sys
from tallyfy import TallyfySDK
assert TallyfySDK(api_key="token", base_url=sys.argv[1])._make_request("GET", "me")["data"]["id"] == 1001
"""


def measure(rounds: int) -> Iterator[Line]:
    """Measure the start of a client."""
    rounds = max(rounds, 7)
    row, unit = "imports", "ms"
    official, openai = Goal(0.7, stretch=0.3), Goal(0.35, stretch=0.15)
    ours, tallyfy, big = alternate(rounds, *(_run(_PLAIN + code) for code in (_OURS, _PEER, _OPENAI)))
    case = "import and construct, against"
    yield Line(row=row, case=f"{case} the official SDK", unit=unit, ours=ours, peer=tallyfy, goal=official)
    yield Line(row=row, case=f"{case} openai", unit=unit, ours=ours, peer=big, goal=openai)
    ours, tallyfy = alternate(_INFORMATION, _run(_OURS), _run(_PEER))
    yield Line(row=row, case="the same, beside trio and click, official SDK", unit=unit, ours=ours, peer=tallyfy)
    with server() as url:
        ours, tallyfy = alternate(
            _INFORMATION,
            _run(_PLAIN + _STARTED + _OUR_CALL + _ENDED, url),
            _run(_PLAIN + _STARTED + _PEER_CALL + _ENDED, url),
        )
    yield Line(row=row, case="up to the first reply, official SDK", unit=unit, ours=ours, peer=tallyfy)


def _run(code: str, *arguments: str) -> Callable[[], float]:
    return lambda: float(fresh(code, *arguments))
