from __future__ import annotations

import anyio
import pytest

from tallyfy_async import Hooks, TallyfyClient
from tallyfy_async.sandbox import Fault
from tests.helpers import small_sandbox, until, user_grant

pytestmark = pytest.mark.anyio


async def test_closing_waits_for_the_renewal_of_a_derived_client() -> None:
    with small_sandbox().serve() as sandbox:
        client = TallyfyClient(sandbox.credentials.personal_token, base_url=sandbox.url)
        derived = client.with_options(auth=user_grant(sandbox))
        sandbox.faults.add(Fault(operation="create_token", delay_after=0.3))
        async with anyio.create_task_group() as group:
            group.start_soon(derived.tokens.get)
            await until(lambda: sandbox.token_lives == 1)
            await client.aclose()
        assert derived.tokens.statistics.tokens == 1
        assert derived.tokens.statistics.unpersisted is False


async def test_a_derived_client_of_the_same_user_shares_the_login() -> None:
    with small_sandbox().serve() as sandbox:
        async with TallyfyClient(user_grant(sandbox), base_url=sandbox.url) as client:
            await client.me.get()
            await client.with_options(hooks=[Hooks()]).me.get()
        assert sandbox.token_lives == 1
