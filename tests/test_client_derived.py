from __future__ import annotations

import anyio
import pytest

from tallyfy_async import Hooks, PasswordGrant, TallyfyClient
from tallyfy_async.sandbox import Fault, Sandbox
from tests.helpers import small_sandbox, until

pytestmark = pytest.mark.anyio


def login(sandbox: Sandbox) -> PasswordGrant:
    known = sandbox.credentials
    return PasswordGrant(
        client_id=known.client_id, client_secret=known.client_secret, username=known.username, password=known.password
    )


async def test_closing_waits_for_the_renewal_of_a_derived_client() -> None:
    with small_sandbox().serve() as sandbox:
        client = TallyfyClient(sandbox.credentials.personal_token, base_url=sandbox.url)
        derived = client.with_options(auth=login(sandbox))
        sandbox.faults.add(Fault(operation="create_token", delay_after=0.3))
        async with anyio.create_task_group() as group:
            group.start_soon(derived.tokens.get)
            await until(lambda: sandbox.token_lives == 1)
            await client.aclose()
        assert derived.tokens.statistics.tokens == 1
        assert derived.tokens.statistics.unpersisted is False


async def test_a_derived_client_of_the_same_user_shares_the_login() -> None:
    with small_sandbox().serve() as sandbox:
        async with TallyfyClient(login(sandbox), base_url=sandbox.url) as client:
            await client.me.get()
            await client.with_options(hooks=[Hooks()]).me.get()
        assert sandbox.token_lives == 1
