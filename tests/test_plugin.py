"""The plugin as its users meet it: in a test run of its own, under each plugin for asynchronous tests."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tallyfy_async
from tallyfy_async import TallyfyClient
from tallyfy_async.sandbox import Fault, Faults, Sandbox
from tallyfy_async.sandbox.settings import SEED_EPOCH
from tallyfy_async.transport.manual_clock import ManualClock

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

USE = """
import pytest
from tallyfy_async import ServerError
from tallyfy_async.sandbox import Fault
{imports}

{marker}
async def test_reading(tallyfy_client, tallyfy_sandbox):
    runs = await tallyfy_client.organization().runs.list(archived="true").collect()
    assert {{run.id for run in runs}} == set(tallyfy_sandbox.truth()["runs"])
    assert tallyfy_sandbox.stats.token_requests == {{"password": {{"ok": 1}}}}

{marker}
async def test_trouble(tallyfy_client, tallyfy_faults, tallyfy_clock, tallyfy_sandbox):
    tallyfy_faults.add(Fault(operation="get_me", status=503, times=3))
    await tallyfy_client.me.get()
    assert len(tallyfy_clock.slept) == 3
    tallyfy_clock.advance(3601)
    await tallyfy_client.me.get()
    assert tallyfy_sandbox.stats.token_requests["refresh_token"] == {{"ok": 1}}

{marker}
async def test_closing(tallyfy_client):
    async with tallyfy_client:
        await tallyfy_client.me.get()

{marker}
async def test_a_socket(tallyfy_sandbox, tallyfy_clock):
    from tallyfy_async.testing import connect
    with tallyfy_sandbox.serve():
        async with connect(tallyfy_sandbox, clock=tallyfy_clock) as client:
            await client.me.get()

def test_without_a_loop(tallyfy_client, tallyfy_sandbox):
    assert tallyfy_client.organization().id == tallyfy_sandbox.credentials.organization
"""
PLUGINS = {
    "anyio": ("anyio", "pytestmark = pytest.mark.anyio", "", 9),
    "asyncio_strict": ("pytest_asyncio", "", "@pytest.mark.asyncio", 5),
    "asyncio_auto": ("pytest_asyncio", "", "", 5),
    "asyncio_module_loop": ("pytest_asyncio", "", '@pytest.mark.asyncio(loop_scope="module")', 5),
    "trio": ("pytest_trio", "", "@pytest.mark.trio", 5),
}
NAMES = {"anyio": "anyio", "pytest_asyncio": "asyncio", "pytest_trio": "trio"}


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in a process of its own, with the plugins that are named and no other, and warnings as errors."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(tallyfy_async.__file__).parent.parent))
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers -p no:cacheprovider\n")

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "tallyfy_async.testing.plugin", *arguments, timeout=60)

    return run


@pytest.mark.once
@pytest.mark.parametrize("kind", PLUGINS)
def test_it_works_under_each_plugin_for_asynchronous_tests(kind: str, run: Run, pytester: pytest.Pytester) -> None:
    package, imports, marker, passed = PLUGINS[kind]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if kind == "anyio":
        imports += (
            "\n@pytest.fixture(params=['asyncio', 'trio'])\ndef anyio_backend(request):\n    return request.param"
        )
    mode = ["-o", "asyncio_mode=auto"] if kind == "asyncio_auto" else []
    if package == "pytest_asyncio":
        mode += ["-o", "asyncio_default_fixture_loop_scope=function"]
    pytester.makepyfile(USE.format(imports=imports, marker=marker))
    result = run("-p", NAMES[package], *mode)
    if result.ret != 0:
        pytest.fail("\n".join(result.outlines + result.errlines))
    result.assert_outcomes(passed=passed)


def test_loading_it_loads_neither_client_nor_sandbox(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_what_is_loaded():
            heavy = {"httpx", "attrs", "attr", "anyio", "starlette", "tenacity", "cattrs", "tallyfy_async.client"}
            assert not heavy & set(sys.modules)
            assert sorted(name for name in sys.modules if name.startswith("tallyfy")) == [
                "tallyfy_async", "tallyfy_async.testing", "tallyfy_async.testing.plugin"
            ]
        """
    )
    run().assert_outcomes(passed=1)


def test_without_the_sandbox_only_the_test_that_asks_fails(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules.update(starlette=None, uvicorn=None, jsonschema_rs=None)")
    pytester.makepyfile(
        """
        def test_other():
            pass

        def test_clock(tallyfy_clock):
            assert tallyfy_clock.monotonic() == 0

        def test_asks(tallyfy_client):
            raise AssertionError("never runs")
        """
    )
    result = run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(['*needs the sandbox of tallyfy_async: pip install "tallyfy-async?sandbox?"*'])
    assert "Traceback" not in result.stdout.str()


def test_settings_come_from_a_fixture_and_markers(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.tallyfy(runs=20, users=7)

        @pytest.fixture
        def tallyfy_settings():
            return {"tasks": 80, "runs": 90}

        def test_module(tallyfy_sandbox):
            chosen = tallyfy_sandbox.settings
            assert (chosen.tasks, chosen.runs, chosen.users, chosen.templates) == (80, 20, 7, 3)

        @pytest.mark.tallyfy(runs=4, latency=0.5)
        def test_nearest(tallyfy_sandbox):
            chosen = tallyfy_sandbox.settings
            assert (chosen.tasks, chosen.runs, chosen.users, chosen.latency) == (80, 4, 7, 0.5)

        @pytest.mark.tallyfy(rnus=4)
        def test_wrong_name(tallyfy_sandbox):
            pass

        @pytest.mark.tallyfy(league=7)
        def test_wrong_value(tallyfy_sandbox):
            pass

        @pytest.mark.tallyfy(40)
        def test_no_name(tallyfy_sandbox):
            pass
        """
    )
    result = run()
    result.assert_outcomes(passed=2, errors=3)
    told = result.stdout.str()
    assert "settings of tallyfy_sandbox cannot be used: " in told
    assert "rnus" in told
    assert "league: 7" in told
    assert "takes settings by their names, such as runs=300" in told


def test_the_marker_and_the_fixtures_are_shown(run: Run) -> None:
    assert "@pytest.mark.tallyfy(**settings)" in run("--markers").stdout.str()
    shown = run("--fixtures").stdout.str()
    for name in ("client", "clock", "faults", "sandbox", "settings"):
        assert re.search(rf"^tallyfy_{name} -- .*plugin.py:\d+\n    \w", shown, re.MULTILINE)


@pytest.mark.usefixtures("run")
def test_pytest_finds_it_by_its_entry_point(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = pytester.mkdir("site") / "tallyfy_async-0.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tallyfy-async\nVersion: 0.0\n")
    (installed / "RECORD").write_text("tallyfy_async/__init__.py,,\ntallyfy_async/testing/plugin.py,,\n")
    (installed / "entry_points.txt").write_text("[pytest11]\ntallyfy = tallyfy_async.testing.plugin\n")
    monkeypatch.setenv("PYTHONPATH", f"{installed.parent}{os.pathsep}{os.environ['PYTHONPATH']}")
    pytester.makepyfile("def test_clock(tallyfy_clock):\n    assert tallyfy_clock.monotonic() == 0\n")
    result = pytester.runpytest_subprocess("-p", "tallyfy", timeout=60)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["plugins: *tallyfy-async-0.0*"])


@pytest.mark.usefixtures("run")
def test_pytest_does_not_rewrite_the_package(pytester: pytest.Pytester) -> None:
    # What pytest does with every module of an installed distribution that brings a plugin.
    pytester.makepyfile(marking="import pytest\npytest.register_assert_rewrite('tallyfy_async')")
    pytester.makeconftest("import tallyfy_async.protocol.dates")
    pytester.makepyfile(
        """
        import runpy
        import sys

        import tallyfy_async.client

        def test_loaders():
            for name in ("protocol.dates", "client"):
                loader = sys.modules[f"tallyfy_async.{name}"].__loader__
                assert type(loader).__name__ == "SourceFileLoader"

        def test_running_a_module(monkeypatch, capsys):
            monkeypatch.setattr(sys, "argv", ["sandbox", "--help"])
            try:
                runpy.run_module("tallyfy_async.sandbox", run_name="__main__")
            except SystemExit as end:
                assert end.code == 0
            assert "--webhook-hosts" in capsys.readouterr().out
        """
    )
    result = pytester.runpytest_subprocess("-p", "marking", "-p", "tallyfy_async.testing.plugin", timeout=60)
    result.assert_outcomes(passed=2)


def test_each_test_has_a_tallyfy_of_its_own_with_the_same_rows(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        seen = []

        @pytest.mark.parametrize("number", [1, 2])
        def test_rows(number, tallyfy_sandbox, tallyfy_faults):
            seen.append(tallyfy_sandbox)
            assert seen[0].truth() == tallyfy_sandbox.truth()
            assert (seen[0] is tallyfy_sandbox) == (number == 1)
            assert tallyfy_faults.remaining() == []
            tallyfy_faults.add()
        """
    )
    run().assert_outcomes(passed=2)


@pytest.mark.anyio
async def test_the_fixtures_belong_together(
    tallyfy_client: TallyfyClient, tallyfy_sandbox: Sandbox, tallyfy_clock: ManualClock, tallyfy_faults: Faults
) -> None:
    assert tallyfy_clock.time() == SEED_EPOCH
    tallyfy_faults.add(Fault(operation="get_me", status=429, headers={"Retry-After": "7"}))
    await tallyfy_client.me.get()
    assert tallyfy_clock.time() >= SEED_EPOCH + 7
    assert tallyfy_sandbox.faults is tallyfy_faults
    assert [one.operation for one in tallyfy_sandbox.stats.received] == ["create_token", "get_me", "get_me"]


def test_what_is_missing_is_named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tallyfy_async.sandbox.sandbox", None)
    with pytest.raises(pytest.fail.Exception, match=r'pip install "tallyfy-async\[sandbox\]"'):
        request.getfixturevalue("tallyfy_sandbox")


@pytest.mark.tallyfy(league=7)
def test_what_cannot_be_set_is_named(request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match="cannot be used: league: 7 is none of"):
        request.getfixturevalue("tallyfy_sandbox")
