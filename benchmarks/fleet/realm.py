"""A sandbox with several organizations of as many tasks each, a credential for each, and what workers need to know."""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from tallyfy_async import PasswordGrant
from tallyfy_async.sandbox import Sandbox, Settings
from tallyfy_async.sandbox.seed_runs import grow_oneoffs

MOST = 3
"""Organizations of the seeded world that have members whom one can make at home there."""


def realm(organizations: int, *, seed: int = 0, **settings: Any) -> Sandbox:
    """Return a sandbox with up to three organizations that all have as many tasks as ``settings`` say."""
    if not 1 <= organizations <= MOST:
        msg = f"a realm has 1 to {MOST} organizations"
        raise ValueError(msg)
    sandbox = Sandbox(Settings(organizations=organizations, **settings), seed=seed)
    for number, organization in enumerate(sandbox.credentials.organizations):
        if number:
            tenant = sandbox.world.tenants[organization]
            grow_oneoffs(random.Random(f"realm-{seed}-{number}"), tenant, sandbox.settings)
            sorted(tenant.members.items())[number][1].user.home = organization
    return sandbox


def grants(sandbox: Sandbox) -> Mapping[str, PasswordGrant]:
    """Return organization -> credential: a token is tied to the organization that its user is at home in."""
    login = sandbox.credentials
    homes = {user.home: user.email for user in reversed(sandbox.world.users.values())}
    return {
        organization: PasswordGrant(
            client_id=login.client_id,
            client_secret=login.client_secret,
            username=homes[organization],
            password=login.password,
        )
        for organization in login.organizations
    }


@contextmanager
def environment(values: Mapping[str, str]) -> Generator[None, None, None]:
    """Set variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
