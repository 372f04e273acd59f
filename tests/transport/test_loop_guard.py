from __future__ import annotations

import os

import anyio
import pytest

from tallyfy_async import ClientClosedError, ClientLoopError, TallyfyClient
from tallyfy_async.transport.shelter import LoopGuard
from tests.helpers import connect, small_sandbox


async def check(guard: LoopGuard) -> None:
    guard.check()
    guard.check()


def test_a_second_event_loop_is_refused(anyio_backend: str) -> None:
    guard = LoopGuard()
    anyio.run(check, guard, backend=anyio_backend)
    with pytest.raises(ClientLoopError, match="one client per event loop"):
        anyio.run(check, guard, backend=anyio_backend)


def test_an_event_loop_of_the_other_library_is_refused() -> None:
    guard = LoopGuard()
    anyio.run(check, guard, backend="asyncio")
    with pytest.raises(ClientLoopError):
        anyio.run(check, guard, backend="trio")


def test_a_guard_that_was_never_used_is_free(anyio_backend: str) -> None:
    async def make() -> LoopGuard:
        return LoopGuard()

    guard = anyio.run(make, backend=anyio_backend)
    anyio.run(check, guard, backend=anyio_backend)


def test_another_process_is_refused(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = LoopGuard()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ClientLoopError, match="after the fork"):
        anyio.run(check, guard, backend=anyio_backend)


def test_a_closed_guard_is_refused(anyio_backend: str) -> None:
    guard = LoopGuard()
    guard.closed = True
    with pytest.raises(ClientClosedError, match="make a new one"):
        anyio.run(check, guard, backend=anyio_backend)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_client_in_a_forked_child_answers_with_an_error_and_never_hangs() -> None:
    sandbox = small_sandbox()
    client = connect(sandbox)
    child = os.fork()
    if child == 0:
        os._exit(forked(client))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def forked(client: TallyfyClient) -> int:
    """Return 0 where the client refuses to work in this process."""
    try:
        anyio.run(client.me.get)
    except ClientLoopError:
        return 0
    except BaseException:  # noqa: BLE001 - no traceback may leave the forked child
        return 2
    return 1


def test_a_client_that_was_made_outside_the_loop_works_in_the_first_one(anyio_backend: str) -> None:
    client = connect(small_sandbox())
    assert "0 of 20 slots" in repr(client)

    async def main() -> str | None:
        return (await client.me.get()).email

    assert anyio.run(main, backend=anyio_backend)
    with pytest.raises(ClientLoopError):
        anyio.run(main, backend=anyio_backend)
