"""One authorization server for the whole session, as good as new for every test."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.oauth_server.authority import Authority, running


@pytest.fixture(scope="session")
def authority_process(tmp_path_factory: pytest.TempPathFactory) -> Generator[Authority, None, None]:
    """Run django-oauth-toolkit in a process of its own."""
    with running(tmp_path_factory.mktemp("authority")) as authority:
        yield authority


@pytest.fixture
def authority(authority_process: Authority) -> Authority:
    """Return the server without tokens and counts, with long lives, rotation and protection against reuse."""
    authority_process.reset()
    return authority_process
