"""A real PostgreSQL server in a subprocess, on a loopback port and in a temporary folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.redis_server import free_port

WHY_NOT = "PostgreSQL is not installed (apt-get install postgresql)"


def binaries() -> Path | None:
    """Return the folder of the newest server's programs, None where there is none."""
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name))
    return folders[-1] if folders else None


def _as_nobody() -> dict[str, object]:
    """The server refuses to run as root."""
    if os.getuid() != 0:
        return {}
    who = pwd.getpwnam("nobody")
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


@contextmanager
def served_postgres() -> Iterator[str]:
    """Start a server; give the address of its database, and stop it at the end."""
    folder = binaries()
    assert folder is not None
    who = _as_nobody()
    place = Path(tempfile.mkdtemp(prefix="tallyfy-postgres-", dir="/tmp"))
    port = free_port()
    try:
        if who:
            os.chown(place, int(str(who["user"])), int(str(who["group"])))
        data = place / "data"
        subprocess.run(
            [folder / "initdb", "--no-sync", "-A", "trust", "-U", "tester", "-D", data],
            check=True,
            capture_output=True,
            cwd=place,
            **who,
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={place} -c fsync=off"
        subprocess.run(
            [folder / "pg_ctl", "start", "-w", "-D", data, "-o", options, "-l", place / "log"],
            check=True,
            capture_output=True,
            cwd=place,
            **who,
        )
        try:
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [folder / "pg_ctl", "stop", "-m", "immediate", "-D", data],
                check=True,
                capture_output=True,
                cwd=place,
                **who,
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)
