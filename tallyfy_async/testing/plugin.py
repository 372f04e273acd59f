"""Fixtures for pytest: a Tallyfy, a client of it, a clock that both share, and faults.

pytest finds them by itself where this package is installed (entry point ``pytest11``). They are plain fixtures, so that
asynchronous tests use them under anyio's plugin, pytest-asyncio and pytest-trio alike::

    async def test_archiving(tallyfy_client, tallyfy_sandbox):
        org = tallyfy_client.organization()
        run = await org.runs.launch(…)
        await my_program.archive(org, run.id)
        assert run.id in tallyfy_sandbox.truth()["archived_runs"]

Each test has a Tallyfy of its own, with the same rows and ids each time. How large it is and how it behaves is told by
the marker ``@pytest.mark.tallyfy(runs=300, rate_limit_per_minute=60)``, or for a folder of tests by a fixture
``tallyfy_settings`` of your own that returns a dict of such settings; :class:`tallyfy_async.sandbox.Settings` lists
them. Loading this module loads neither the client nor the sandbox; they are imported by the first test that asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tallyfy_async.client import TallyfyClient
    from tallyfy_async.sandbox import Faults, Sandbox
    from tallyfy_async.transport.manual_clock import ManualClock

_SIZES = {"templates": 3, "runs": 10, "tasks": 60, "users": 5, "record": True}
_MARKER = "tallyfy(**settings): settings of the sandbox, such as runs=300; tallyfy_async.sandbox.Settings lists them"
_MISSING = 'tallyfy_sandbox needs the sandbox of tallyfy_async: pip install "tallyfy-async[sandbox]"'


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Take the package out of what pytest rewrites the assertions of, before any conftest.py is loaded.

    pytest rewrites every module of a distribution that brings a plugin. There are no assertions for users in this one;
    without it, the first import takes some four times as long where bytecode cannot be written, and runpy fails.
    """
    marked: set[str] = getattr(pluginmanager.rewrite_hook, "_must_rewrite", set())
    marked.discard("tallyfy_async")


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def tallyfy_settings() -> dict[str, Any]:
    """Return settings of the sandbox; override it in a conftest.py or a module for all tests there."""
    return {}


@pytest.fixture
def tallyfy_clock() -> ManualClock:
    """Return the clock of sandbox and client: waits take no time, and ``advance(seconds)`` lets tokens age.

    It starts at the moment that the rows of the sandbox call now.
    """
    from tallyfy_async.sandbox.settings import SEED_EPOCH  # noqa: PLC0415 - lazy: only for tests that ask
    from tallyfy_async.transport.manual_clock import ManualClock  # noqa: PLC0415 - as above

    return ManualClock(wall=float(SEED_EPOCH))


@pytest.fixture
def tallyfy_sandbox(
    request: pytest.FixtureRequest, tallyfy_settings: dict[str, Any], tallyfy_clock: ManualClock
) -> Sandbox:
    """Return a fresh local Tallyfy that keeps what it receives in ``stats.received``.

    A test over real sockets puts it there: ``with tallyfy_sandbox.serve(): …``. Fails the test that asks for it where
    the extra ``sandbox`` is missing, and where a setting is unknown.
    """
    try:
        from tallyfy_async.sandbox import Sandbox, Settings  # noqa: PLC0415 - lazy: belongs to the extra
    except ImportError:
        pytest.fail(_MISSING, pytrace=False)
    chosen: dict[str, Any] = {**_SIZES, **tallyfy_settings}
    for marker in reversed(list(request.node.iter_markers("tallyfy"))):
        if marker.args:
            pytest.fail("@pytest.mark.tallyfy takes settings by their names, such as runs=300", pytrace=False)
        chosen |= marker.kwargs
    try:
        return Sandbox(Settings(**chosen), clock=tallyfy_clock.time)
    except (TypeError, ValueError) as error:
        pytest.fail(f"the settings of tallyfy_sandbox cannot be used: {error}", pytrace=False)


@pytest.fixture
def tallyfy_faults(tallyfy_sandbox: Sandbox) -> Faults:
    """Return the script of what goes wrong at the sandbox: ``tallyfy_faults.add(Fault(status=503))``."""
    return tallyfy_sandbox.faults


@pytest.fixture
def tallyfy_client(tallyfy_sandbox: Sandbox, tallyfy_clock: ManualClock) -> TallyfyClient:
    """Return a client that is logged in to the sandbox by the password grant, in this process and without a socket.

    It belongs to the event loop of the test that uses it first. Nothing is left open where it is not closed;
    ``async with tallyfy_client:`` may close it. For other settings: ``tallyfy_client.with_options(…)``, or
    ``connect(tallyfy_sandbox, clock=tallyfy_clock, …)``.
    """
    from tallyfy_async.testing.connecting import connect  # noqa: PLC0415 - lazy: only for tests that ask

    return connect(tallyfy_sandbox, clock=tallyfy_clock)
