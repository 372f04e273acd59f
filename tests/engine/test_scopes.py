"""What a token's scopes allow is known before anything is sent (seed 000)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallyfy_async import InsufficientScopeError, Outcome, PermissionDeniedError
from tallyfy_async.sandbox import Sandbox
from tests.engine.test_hooks import Ear
from tests.faults.rig import connected, login, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as made:
        yield made


def template(sandbox: Sandbox) -> str:
    return next(iter(sandbox.world.tenants[sandbox.credentials.organization].checklists))


async def test_write_without_its_scope_is_not_sent(sandbox: Sandbox) -> None:
    ear = Ear()
    async with connected(sandbox, login(sandbox, scope="template account"), hooks=[ear]) as client:
        runs = client.organization(sandbox.credentials.organization).runs
        with pytest.raises(InsufficientScopeError, match="has the scopes account, template, it takes process") as told:
            await runs.launch(template(sandbox), name="Onboard Ada")
        assert told.value.outcome is Outcome.NOT_SENT
        assert sandbox.stats.by_operation["launch_run"] == 0
        assert [run async for run in runs.list()]  # a read is the server's decision
    assert [type(error) for error in ear.failures] == [InsufficientScopeError]


@pytest.mark.parametrize("scope", ["process", "*", "account process", None])
async def test_write_with_its_scope_is_sent(sandbox: Sandbox, scope: str | None) -> None:
    async with connected(sandbox, login(sandbox, scope=scope)) as client:
        runs = client.organization(sandbox.credentials.organization).runs
        await runs.archive((await anext(aiter(runs.list()))).id)
    assert sandbox.stats.by_operation["archive_run"] == 1


async def test_the_check_can_be_switched_off(sandbox: Sandbox) -> None:
    """Then the server refuses, and the error says which scope may be missing."""
    async with connected(sandbox, login(sandbox, scope="account"), check_scopes=False) as client:
        runs = client.organization(sandbox.credentials.organization).runs
        with pytest.raises(PermissionDeniedError) as told:
            await runs.launch(template(sandbox), name="Onboard Ada")
        note = "A scope may be missing: the token has the scopes account, it takes process (seed 000)."
        assert told.value.__notes__ == [note]
        derived = client.with_options(check_scopes=True)
        with pytest.raises(InsufficientScopeError):
            await derived.organization(sandbox.credentials.organization).runs.launch(template(sandbox), name="A")


async def test_raw_request_is_the_server_s_decision(sandbox: Sandbox) -> None:
    path = f"/organizations/{sandbox.credentials.organization}/runs"
    async with connected(sandbox, login(sandbox, scope="account")) as client:
        with pytest.raises(PermissionDeniedError) as told:
            await client.request("POST", path, json={"checklist_id": template(sandbox), "name": "x"})
    assert not hasattr(told.value, "__notes__")


async def test_scopes_survive_a_refresh_that_does_not_tell_them(sandbox: Sandbox) -> None:
    async with connected(sandbox, login(sandbox, scope="template")) as client:
        assert (await client.tokens.get()).scopes == {"template"}
        assert (await client.tokens.refresh()).scopes == {"template"}
