"""`--db FILE`: the server as a process of its own, ended in every way, and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tallyfy_async.sandbox import Sandbox, Settings, StorageError
from tallyfy_async.sandbox.__main__ import main

SMALL = ("--runs", "5", "--tasks", "60", "--users", "5")
Process = subprocess.Popen[str]
Start = Callable[..., tuple[Process, dict[str, Any]]]


def run(file: Path, *arguments: str) -> Process:
    command = [sys.executable, "-W", "error", "-m", "tallyfy_async.sandbox", "--db", str(file), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "world.db"


@pytest.fixture
def start(file: Path) -> Iterator[Start]:
    """Start servers; what a test leaves running is killed."""
    running: list[Process] = []

    def started(*arguments: str) -> tuple[Process, dict[str, Any]]:
        process = run(file, *(arguments or SMALL))
        running.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield started
    for process in running:
        process.kill()
        process.communicate(timeout=10)


def end(process: Process, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    return process.returncode, err


def client(mine: dict[str, Any]) -> httpx.Client:
    headers = {"Authorization": f"Bearer {mine['personal_token']}", "X-Tallyfy-Client": "x"}
    return httpx.Client(headers=headers, base_url=f"{mine['url']}/organizations/{mine['organization']}")


def write(mine: dict[str, Any], number: int, acknowledged: dict[str, str]) -> None:
    """Make groups until the server is gone; note the id of each that it acknowledged."""
    with client(mine) as http:
        for turn in range(100_000):
            name = f"{number}-{turn}"
            try:
                reply = http.post("/groups", json={"name": name, "description": "d", "members": [1001]})
            except httpx.TransportError:
                return
            assert reply.status_code == 201, reply.text
            acknowledged[reply.json()["data"]["id"]] = name


@pytest.mark.once
def test_kill_9_loses_nothing_that_was_acknowledged(start: Start, file: Path) -> None:
    acknowledged: dict[str, str] = {}
    mine: dict[str, Any] = {}
    for enough in (20, 60):
        process, again = start()
        assert mine in ({}, again | {"url": mine.get("url"), "authorize_url": mine.get("authorize_url")})
        mine = again
        writers = [threading.Thread(target=write, args=(mine, number + enough, acknowledged)) for number in range(3)]
        for writer in writers:
            writer.start()
        while len(acknowledged) < enough and any(writer.is_alive() for writer in writers):
            writers[0].join(0.005)
        assert end(process, signal.SIGKILL) == (-signal.SIGKILL, "")
        for writer in writers:
            writer.join(10)
        assert len(acknowledged) >= enough
    _, mine = start()
    with client(mine) as http:
        found = {row["id"]: row["name"] for row in http.get("/groups", params={"per_page": 100}).json()["data"]}
        pages = 2
        while rows := http.get("/groups", params={"per_page": 100, "page": pages}).json()["data"]:
            found |= {row["id"]: row["name"] for row in rows}
            pages += 1
    assert acknowledged.items() <= found.items()


@pytest.mark.once
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_end_leaves_one_file_and_the_next_start_needs_no_flags(
    start: Start, file: Path, number: signal.Signals
) -> None:
    process, first = start("--seed", "3", *SMALL)
    data = {name: first[name] for name in ("client_id", "client_secret", "username", "password")}
    tokens = httpx.post(f"{first['url']}/oauth/token", data={"grant_type": "password"} | data).json()
    assert end(process, number) == (0, "")
    assert list(file.parent.iterdir()) == [file]
    process, second = start("--token-life", "7")
    assert {k: v for k, v in second.items() if "url" not in k} == {k: v for k, v in first.items() if "url" not in k}
    headers = {"Authorization": f"Bearer {tokens['access_token']}", "X-Tallyfy-Client": "x"}
    assert httpx.get(f"{second['url']}/me", headers=headers).status_code == 200
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]} | data
    assert httpx.post(f"{second['url']}/oauth/token", data=again).json()["expires_in"] == 7
    assert end(process) == (0, "")


def test_flags_that_decide_nothing_any_more_are_told(start: Start, file: Path) -> None:
    process, first = start("--seed", "3", *SMALL)
    end(process)
    process, second = start("--seed", "4", "--runs", "300", "--tasks", "60")
    assert second["organization"] == first["organization"]
    note = f"ignored: --seed 4 --runs 300; the world in {file} was made with --seed 3 --runs 5\n"
    assert end(process) == (0, note)


def test_a_second_process_is_refused(start: Start, file: Path) -> None:
    _, mine = start()
    with pytest.raises(StorageError, match="in use"):
        Sandbox(Settings(runs=5, tasks=60, users=5), db=file)
    second = run(file)
    assert second.communicate(timeout=20) == ("", f"{file} is in use by another sandbox\n")
    assert second.returncode == 1
    with client(mine) as http:
        assert http.post("/groups", json={"name": "n", "description": "d", "members": [1001]}).status_code == 201


def test_a_refused_second_sandbox_does_not_unlock_the_file(file: Path) -> None:
    with Sandbox(Settings(runs=5, tasks=60, users=5), db=file).serve() as sandbox:
        with pytest.raises(StorageError, match="in use"):
            Sandbox(db=file)
        second = run(file)
        assert second.communicate(timeout=20) == ("", f"{file} is in use by another sandbox\n")
    sandbox.close()


def test_an_unusable_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    assert main(["--db", str(notes), *SMALL]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{notes} is no file of the sandbox; nothing was changed\n")
    assert notes.read_text() == "mine"
