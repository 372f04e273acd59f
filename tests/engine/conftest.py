from __future__ import annotations

import pytest

from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.manual_clock import ManualClock


@pytest.fixture
def sandbox(tallyfy_sandbox: Sandbox) -> Sandbox:
    return tallyfy_sandbox


@pytest.fixture
def clock(tallyfy_clock: ManualClock) -> ManualClock:
    return tallyfy_clock
