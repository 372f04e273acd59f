from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import anyio
import pytest
from attrs import evolve

from tallyfy_async import ConfigurationError, NotSentError, ServerError, TallyfyClient
from tallyfy_async.cli import demo as command
from tallyfy_async.demo import job
from tallyfy_async.demo import process as second
from tallyfy_async.demo.process import second_process
from tallyfy_async.demo.tally import Truth, Watch
from tallyfy_async.sandbox import Fault, Sandbox, Settings

QUICK = ("--tasks", "60", "--seconds", "0.2")
_CALM: dict[str, Any] = {"run_page": 5, "task_page": 10}


@pytest.fixture(autouse=True)
def plain_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the development mode of a test run, which prints slow callbacks, from the processes that are started."""
    monkeypatch.delenv("PYTHONDEVMODE", raising=False)


class Blank:
    """A screen that shows nothing and counts."""

    def __init__(self) -> None:
        self.announced: list[int | None] = []

    @contextlib.contextmanager
    def reading(self, lists: Sequence[job.Listing], watch: Watch) -> Generator[None, None, None]:
        self.announced = [listing.seen.announced for listing in lists]
        yield


def small(**settings: Any) -> Sandbox:
    return Sandbox(Settings(**{"templates": 6, "runs": 12, "tasks": 90, "users": 4, **settings}))


def table_rows(text: str) -> dict[str, str]:
    """Return the rows of the table in a text."""
    cells = (line.strip("│ \n").split("│") for line in text.splitlines() if line.startswith("│"))
    return {name.strip(): value.strip() for name, value in cells}


# The command, in two processes.


@pytest.mark.parametrize("faults", ["none", "some", "many"])
def test_it_ends_well_whatever_the_weather(faults: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main([*QUICK, "--faults", faults]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert f"seed 0, faults {faults}, tokens live 2 s" in out
    rows = table_rows(out)
    assert rows["missing"] == rows["doubled"] == rows["tokens never used"] == "0"
    assert rows["runs launched"] == rows["tasks completed"] == "1"
    assert rows["token lives"] == rows["token requests"]
    assert int(rows["tasks"]) > 60
    assert int(rows["pages"]) >= 61
    assert "no token request was wasted" in out


def test_tokens_that_end_meanwhile_are_renewed_and_all_are_used(capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--tasks", "400", "--seconds", "4", "--faults", "none"]) == 0
    rows = table_rows(capfd.readouterr().out)
    assert int(rows["token lives"]) >= 3
    assert rows["token lives"] == rows["token requests"]
    assert rows["tokens never used"] == "0"


def test_as_a_command_of_the_package() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tallyfy_async", "demo", *QUICK, "--seed", "5", "--faults", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert table_rows(done.stdout)["missing"] == "0"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda truth: evolve(truth, tasks=truth.tasks | {"f" * 32}), "1 items are missing"),
        (lambda truth: evolve(truth, token_requests=truth.token_requests + 1), "token requests brought"),
    ],
    ids=["missing", "wasted"],
)
def test_a_truth_that_differs_has_status_1(wrong: Any, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    async def lie(client: TallyfyClient, url: str) -> Truth:
        return wrong(await job.look(client, url))

    assert command.main([*QUICK, "--faults", "none"], look=lie) == 1
    out = capfd.readouterr().out
    assert "FAILED: " in out
    assert words in out
    assert "Nothing is missing" not in out


def test_the_second_process_ends_with_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _: pytest.fail("it should end by itself"))
    with second_process(["--tasks", "10", "--runs", "1"]) as (url, login):
        assert url.startswith("http://127.0.0.1:")
        assert login.password not in repr(login)

        async def ask() -> None:
            async with TallyfyClient(login.personal_token, base_url=url) as tallyfy:
                await tallyfy.me.get()

        anyio.run(ask)

    async def ask_again() -> None:
        async with TallyfyClient(login.personal_token, base_url=url, retry=0) as tallyfy:
            await tallyfy.me.get()

    with pytest.raises(NotSentError):
        anyio.run(ask_again)


def test_a_second_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second, "_PATIENCE", 0.1)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.PIPE) as deaf:
        second._end(deaf)
    assert deaf.returncode != 0


def test_a_second_process_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(command._OWN, "faults", "hail")
    assert command.main(list(QUICK)) == 1
    assert "the sandbox did not start: its process ended with status 2" in capfd.readouterr().err


def test_json_is_the_only_thing_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main([*QUICK, "--json"]) == 0
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert err == ""
    assert (told["problems"], told["missing"], told["doubled"], told["launched"]) == ([], 0, 0, 1)
    assert told["items"] == told["runs"] + told["tasks"]
    assert told["truth"]["token_requests"] == told["truth"]["token_lives"] > 0


@pytest.mark.once
def test_a_full_disk_and_a_reader_that_has_left() -> None:
    line = [sys.executable, "-m", "tallyfy_async", "demo", *QUICK, "--faults", "none"]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert b"No space left on device" in said
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as left:
        assert left.stdout is not None
        assert left.stderr is not None
        left.stdout.close()
        assert left.stderr.read() == b""
    assert left.returncode == 0


@pytest.mark.parametrize(
    ("words", "kind", "status"),
    [
        (["--bogus"], "UsageError", 2),
        (["--token", "x"], "UsageError", 2),
        (["--url", "http://tallyfy.example/api", "--token", "x", "--organization", "o"], "ConfigurationError", 2),
    ],
)
def test_errors_as_json(words: list[str], kind: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        sys.exit(command.main([*words, "--json"]))
    out, err = capsys.readouterr()
    error = json.loads(err)["error"]
    assert (end.value.code, out, error["kind"], error["exit_status"]) == (status, "", kind, status)


def test_an_error_of_the_server_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    sandbox = small()
    sandbox.faults.add(Fault(operation="list_tasks", status=403, body={"message": "No."}, times=None))
    login = sandbox.credentials
    with sandbox.serve():
        words = ["--url", sandbox.url, "--token", login.personal_token, "--organization", login.organization]
        assert command.main([*words, "--json"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert json.loads(said.err)["error"]["kind"] == "PermissionDeniedError"


# The command, against another server.


def test_elsewhere_it_reads_and_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    sandbox = small()
    with sandbox.serve():
        words = ["--url", sandbox.url, "--token", sandbox.credentials.personal_token]
        assert command.main([*words, "--organization", sandbox.credentials.organization]) == 0
    rows = table_rows(capfd.readouterr().out)
    assert rows["runs"] == "12"
    assert rows["tasks"] == "90"
    assert rows["pages"] == "2"
    assert rows["missing"] == rows["doubled"] == "0"
    assert "token lives" not in rows
    assert set(sandbox.stats.by_operation) == {"list_runs", "list_tasks"}


def test_elsewhere_the_only_organization_is_found_and_several_are_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TALLYFY_ORGANIZATION", raising=False)
    for organizations, status in ((1, 0), (2, 2)):
        sandbox = small(organizations=organizations)
        monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", sandbox.credentials.personal_token)
        with sandbox.serve():
            assert command.main(["--url", sandbox.url]) == status
    said = capfd.readouterr().err
    assert "--organization" in said
    assert sandbox.credentials.organization in said
    assert sandbox.credentials.personal_token not in said


def test_elsewhere_an_error_of_the_server_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    sandbox = small()
    sandbox.faults.add(Fault(operation="list_tasks", status=403, body={"message": "No."}, times=None))
    login = sandbox.credentials
    with sandbox.serve():
        words = ["--url", sandbox.url, "--token", login.personal_token, "--organization", login.organization]
        assert command.main(words) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert "the demo failed: PermissionDeniedError: GET /organizations/{org}/tasks -> 403: No." in said.err
    assert login.personal_token not in said.err


# Options.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tasks", "0"], "--tasks: a whole number of at least 1 is needed"),
        (["--tasks", "x"], "--tasks: a whole number of at least 1 is needed"),
        (["--seconds", "nan"], "--seconds: a number of more than 0 is needed"),
        (["--token-life", "0.5"], "--token-life: a whole number"),
        (["--faults", "hail"], "--faults"),
        (["--token", "x"], "go with --url"),
        (["--url", "http://127.0.0.1:1/api"], "--url needs --token"),
        (
            ["--url", "http://127.0.0.1:1/api", "--token", "x", "--token-life", "3"],
            "--token-life belongs to the sandbox",
        ),
    ],
)
def test_wrong_options(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TALLYFY_ACCESS_TOKEN", raising=False)
    with pytest.raises(SystemExit) as exit_:
        command.main(words)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_a_server_without_tls_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--url", "http://tallyfy.example/api", "--token", "x", "--organization", "o"]) == 2
    assert "base_url must be https" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "absent", "status"),
    [([], "uvicorn", 2), ([], "rich", 2), (["--url", "http://127.0.0.1:1/api", "--token", "x"], "rich", 2)],
)
def test_a_missing_extra_is_named(
    words: list[str],
    absent: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    assert command.main(words) == status
    said = capsys.readouterr().err
    assert 'pip install "tallyfy-async[sandbox]"' in said
    assert f"({absent} is missing)" in said


def test_an_interrupt_has_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "elsewhere", interrupted)
    assert command.main(["--url", "http://127.0.0.1:1/api", "--token", "x"]) == 130


# The job, on both event loops.


@pytest.mark.anyio
async def test_the_job_on_a_served_sandbox() -> None:
    sandbox, screen = small(latency=0.1), Blank()
    with sandbox.serve():
        report = await job.on_sandbox(sandbox.url, sandbox.credentials, screen, **_CALM)
        truth = sandbox.truth()
    assert report.problems() == []
    assert screen.announced == [12, 90]
    assert set(report.runs.ids) == set(truth["runs"])
    assert set(report.tasks.ids) == set(truth["tasks"])
    assert report.pages == 3 + 9
    assert report.truth is not None
    assert (report.truth.launched, report.truth.completed) == (1, 1)
    assert report.truth.token_requests == report.truth.token_lives == report.truth.lives_used == 1
    assert report.requests == sandbox.stats.requests
    assert sandbox.stats.max_concurrency >= 4


@pytest.mark.anyio
async def test_the_job_counts_its_retries_by_cause() -> None:
    sandbox = small()
    sandbox.faults.add(
        Fault(operation="list_tasks", after=2, status=429, headers={"Retry-After": "0"}),
        Fault(operation="list_tasks", after=3, times=2, status=503),
        Fault(operation="list_runs", after=2, revoke=True),
    )
    with sandbox.serve():
        report = await job.on_sandbox(sandbox.url, sandbox.credentials, Blank(), **_CALM)
    assert report.retries["429 too many requests"] == 1
    assert report.retries["503 service unavailable"] == 2
    assert report.retries["401 unauthorized"] >= 1
    assert report.problems() == []
    assert report.truth is not None
    assert report.truth.token_lives == 2


@pytest.mark.anyio
async def test_an_error_of_one_list_ends_the_other_and_comes_bare() -> None:
    sandbox = small()
    sandbox.faults.add(Fault(operation="list_runs", after=1, status=500, times=None))
    with sandbox.serve(), pytest.raises(ServerError):
        await job.on_sandbox(sandbox.url, sandbox.credentials, Blank(), **_CALM)


@pytest.mark.anyio
async def test_without_a_launchable_template_it_says_so() -> None:
    sandbox = small(templates=2)
    with sandbox.serve(), pytest.raises(ConfigurationError, match="every template demands kick-off answers"):
        await job.on_sandbox(sandbox.url, sandbox.credentials, Blank(), **_CALM)
    assert sandbox.world.launched == 0


@pytest.mark.anyio
async def test_without_a_task_that_can_be_completed_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_completable", lambda _: False)
    sandbox = small()
    with sandbox.serve(), pytest.raises(ConfigurationError, match="no task that can be completed without answers"):
        await job.on_sandbox(sandbox.url, sandbox.credentials, Blank(), **_CALM)
    assert (sandbox.world.launched, sandbox.world.completed) == (1, 0)


def test_the_truth_is_read_past_the_counters() -> None:
    sandbox = small()

    async def look() -> tuple[Truth, int]:
        watch = Watch()
        async with TallyfyClient(sandbox.credentials.personal_token, base_url=sandbox.url, hooks=[watch]) as tallyfy:
            return await job.look(tallyfy, sandbox.url), watch.requests

    with sandbox.serve():
        truth, requests = anyio.run(partial(look))
    assert requests == 0
    assert truth.runs == set(sandbox.truth()["runs"])
    assert truth == Truth.of(sandbox.truth(), json.loads(json.dumps(sandbox.report())))
