"""Hosts in network namespaces of their own, on one bridge, whose links can be cut."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[3]


class NotPermittedError(Exception):
    """Network namespaces cannot be had here."""


def ip(*words: str) -> None:
    """Run iproute2's ip; raise NotPermittedError with what it says."""
    program = shutil.which("ip")
    if program is None:
        msg = "there is no program ip: install iproute2"
        raise NotPermittedError(msg)
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"ip {' '.join(words)}: {done.stderr.strip()}"
        raise NotPermittedError(msg)


@frozen
class Host:
    """A namespace with one link to the bridge."""

    name: str
    link: str

    def cut(self) -> None:
        """Take its link away: what is on its way is lost, and nobody is told."""
        ip("link", "set", self.link, "down")

    def heal(self) -> None:
        ip("link", "set", self.link, "up")


@frozen
class Network:
    """A bridge in the root namespace, which has this address, and hosts."""

    address: str
    hosts: tuple[Host, ...]


@contextmanager
def network(count: int) -> Generator[Network, None, None]:
    """Make hosts; take them away at the end. Raises NotPermittedError."""
    number, mark = secrets.randbelow(64 * 250), secrets.token_hex(3)
    bridge, net = f"tf{mark}", f"100.{64 + number // 250}.{1 + number % 250}"  # shared addresses, which nobody routes
    with ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "del", bridge)
        ip("address", "add", f"{net}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        hosts = tuple(_host(stack, bridge, f"{bridge}-{one}", f"{net}.{10 + one}/24") for one in range(count))
        yield Network(f"{net}.1", hosts)


def _host(stack: ExitStack, bridge: str, name: str, address: str) -> Host:
    link, inner = f"{name}o", f"{name}i"
    ip("netns", "add", name)
    stack.callback(ip, "netns", "del", name)
    ip("link", "add", link, "type", "veth", "peer", "name", inner, "netns", name)
    stack.callback(ip, "link", "del", link)
    ip("link", "set", link, "master", bridge, "up")
    ip("-n", name, "address", "add", address, "dev", inner)
    ip("-n", name, "link", "set", inner, "up")
    ip("-n", name, "link", "set", "lo", "up")
    return Host(name, link)


class Worker:
    """A process on a host."""

    def __init__(self, host: Host, job: dict[str, Any]) -> None:
        command = ["ip", "netns", "exec", host.name, sys.executable, "-W", "ignore", str(WORKER), json.dumps(job)]
        pipe: Any = subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.host = host
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def call(self, count: int = 1, deadline: float = 60.0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"count": count, "deadline": deadline}) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def working(net: Network, job: dict[str, Any]) -> Iterator[list[Worker]]:
    workers = [Worker(host, job) for host in net.hosts]
    try:
        assert [worker.hear() for worker in workers] == ["ready"] * len(workers)
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.communicate()
