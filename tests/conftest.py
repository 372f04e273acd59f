from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tallyfy_async.testing import plugin

# A loaded machine makes no example wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Have the fixtures of the package's plugin also where the package is not installed but lies on the path."""
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "tallyfy")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every asynchronous test on both event loops."""
    return str(request.param)
