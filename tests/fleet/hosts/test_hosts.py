"""Four hosts with a network each share one line of tokens on Redis, and lose their links to it and to the server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.redis_server import find_binary, free_port, start, stop
from tallyfy_async import generate_key
from tallyfy_async.sandbox import Fault, Sandbox, Settings
from tests.fleet.hosts.rig import Network, NotPermittedError, Worker, network, working
from tests.redis_server import PASSWORD

HOSTS = 4
LEASE = 2.0


@pytest.fixture
def net() -> Iterator[Network]:
    try:
        with network(1):
            pass
    except NotPermittedError as error:
        pytest.skip(f"no network namespaces here: {error}")
    with network(HOSTS) as made:
        yield made


@contextmanager
def redis_at(address: str) -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tallyfy-redis-") as folder:
        settings = {"requirepass": PASSWORD, "bind": f"127.0.0.1 {address}"}
        process = start(find_binary(), folder, port, settings)
        try:
            yield f"redis://:{PASSWORD}@{address}:{port}/0"
        finally:
            stop(process)


@contextmanager
def fleet(net: Network, sandbox: Sandbox) -> Iterator[list[Worker]]:
    """A worker on every host; Redis and the sandbox answer on the bridge."""
    with redis_at(net.address) as url, sandbox.serve(host=net.address):
        known = sandbox.credentials
        names = ("client_id", "client_secret", "username", "password")
        grant = {name: getattr(known, name) for name in names}
        job = {"redis": url, "keys": generate_key(), "lease": LEASE, "grant": grant, "base_url": sandbox.url}
        with working(net, job) as workers:
            yield workers


def heard(workers: list[Worker], count: int = 1, deadline: float = 60.0) -> list[dict[str, Any]]:
    """Let workers call at once, and return what each of them said."""
    for worker in workers:
        worker.call(count, deadline)
    return [worker.hear() for worker in workers]


def all_well(count: int, generation: int) -> dict[str, Any]:
    return {"outcomes": {"200": count}, "generation": generation}


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def end_life(sandbox: Sandbox) -> None:
    """End the life of the access token."""
    sandbox.world.vault.revoke_all_access()


@pytest.mark.once
def test_hosts_ask_for_one_token_a_life_whatever_links_are_cut_and_healed(net: Network) -> None:
    sandbox = Sandbox(Settings(templates=1, runs=1, tasks=1, users=1))
    with fleet(net, sandbox) as workers:
        assert heard(workers, 5) == [all_well(5, 1)] * HOSTS
        end_life(sandbox)
        assert heard(workers, 5) == [all_well(5, 2)] * HOSTS
        assert sandbox.stats.token_total == 2
        two_are_cut_off_for_two_lives(sandbox, workers[:2], workers[2:])
        assert heard(workers, 25) == [all_well(25, 4)] * HOSTS  # those who come back take what the others have
        assert sandbox.stats.token_total == sandbox.world.vault.issued == 4
        one_is_cut_off_while_it_renews(sandbox, workers[0], workers[1:])
        assert len({one["generation"] for one in heard(workers, 5)}) == 1
        assert sandbox.stats.token_total == sandbox.world.vault.issued == 6
        assert sandbox.stats.presented_twice == sandbox.stats.reuses == 0


def two_are_cut_off_for_two_lives(sandbox: Sandbox, whole: list[Worker], lost: list[Worker]) -> None:
    for worker in lost:
        worker.host.cut()
    for generation in (3, 4):
        end_life(sandbox)
        if generation == 3:
            for worker in lost:
                worker.call(5, 1.0)
        assert heard(whole, 5) == [all_well(5, generation)] * len(whole)
    for worker in lost:
        outcomes = worker.hear()["outcomes"]
        assert sum(outcomes.values()) == 5
        assert "200" not in outcomes
    assert sandbox.stats.token_total == 4
    for worker in lost:
        worker.host.heal()


def one_is_cut_off_while_it_renews(sandbox: Sandbox, first: Worker, others: list[Worker]) -> None:
    """Let a refresh token be spent whose answer does not arrive: the others log in anew, and nobody sends it again."""
    sandbox.faults.add(Fault(path="/oauth/token", delay_after=1.5, times=1))
    end_life(sandbox)
    first.call()
    until(lambda: sandbox.world.vault.issued == 5)
    first.host.cut()
    assert [one["outcomes"] for one in heard(others, 5)] == [{"200": 5}] * len(others)
    assert sandbox.stats.token_requests["password"]["ok"] == 2
    first.host.heal()
    assert first.hear()["outcomes"] == {"200": 1}
