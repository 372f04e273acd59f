from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tallyfy_async import testing
from tallyfy_async.sandbox import Sandbox
from tests.docs_rig import ROOT, blocks_of, reading
from tests.webhooks import samples

CUSTOMERS = "name,Reference number,Priority\nAda,A-1,High\nAlan,A-2,low\n"
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def block_with(text: str) -> str:
    (found,) = [block for block in BLOCKS if text in block]
    return found


def run_block(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block_with(text), "README.md", "exec"), names)
    return names


def test_every_block_is_run_here() -> None:
    known = [
        "from_env",
        "PasswordGrant(",
        "testing.connect",
        "async def lists",
        "async def launch(",
        "async def onboard",
        "async def keep_a_copy",
        "async def launch_all",
        "SenderCheck(",
    ]
    assert sorted(block_with(text) for text in known) == sorted(BLOCKS)


def test_the_thirty_second_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox().serve() as sandbox:
        monkeypatch.setenv("TALLYFY_ACCESS_TOKEN", sandbox.credentials.personal_token)
        monkeypatch.setenv("TALLYFY_ORGANIZATION", sandbox.credentials.organization)
        monkeypatch.setenv("TALLYFY_BASE_URL", sandbox.url)
        run_block("from_env")
    active = [
        run for run in sandbox.world.tenants[sandbox.credentials.organization].runs.values() if run.status == "active"
    ]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len([run for run in active if run.archived_at is None])


def test_the_login_example_makes_a_client() -> None:
    assert "TallyfyClient https://go.tallyfy.com/api open" in repr(run_block("PasswordGrant(")["client"])


def test_the_example_without_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    run_block("testing.connect")
    assert capsys.readouterr().out.startswith("1 ")


@pytest.mark.anyio
async def test_the_list_examples(capsys: pytest.CaptureFixture[str]) -> None:
    lists = run_block("async def lists")["lists"]
    sandbox = Sandbox()
    async with testing.connect(sandbox) as tallyfy:
        await lists(tallyfy.organization(sandbox.credentials.organization))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{printed[-1]} {-(-int(printed[-1]) // 100)} True"


@pytest.mark.anyio
async def test_the_error_example(capsys: pytest.CaptureFixture[str]) -> None:
    launch = run_block("async def launch(")["launch"]
    sandbox = Sandbox()
    async with testing.connect(sandbox) as tallyfy:
        org = tallyfy.organization(sandbox.credentials.organization)
        templates = await org.templates.list()
        demanding = next(each for each in templates if any(field.required for field in each.prerun or ()))
        await launch(org, demanding.id)
    assert "is required" in capsys.readouterr().out


@pytest.mark.anyio
async def test_the_form_example(capsys: pytest.CaptureFixture[str]) -> None:
    onboard = run_block("async def onboard")["onboard"]
    sandbox = Sandbox()
    async with testing.connect(sandbox) as tallyfy:
        org = tallyfy.organization(sandbox.credentials.organization)
        template = await org.templates.find_by_name("Customer Onboarding")
        assert template is not None
        await onboard(org, template.id)
        run = await org.runs.find_by_name("Onboard Ada")
    assert run is not None
    answers = list(sandbox.world.tenants[org.id].runs[run.id].prerun.values())
    assert answers == ["A-17", "High", "2026-12-01 00:00:00"]
    printed = capsys.readouterr().out.splitlines()
    assert "'Reference number'" in printed[0]
    assert len(printed) > 1


@pytest.mark.anyio
async def test_the_file_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keep_a_copy = run_block("async def keep_a_copy")["keep_a_copy"]
    monkeypatch.chdir(tmp_path)
    sandbox = Sandbox()
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    task, field = next(
        (task, field)
        for task in tenant.tasks.values()
        if task.run_id and task.is_open and not task.archived_at and not tenant.runs[task.run_id].open_issue
        for field in task.captures
        if field.field_type == "file"
    )
    async with testing.connect(sandbox) as tallyfy:
        await keep_a_copy(tallyfy.organization(tenant.id), task.run_id, task.id, field.id)
    assert (tmp_path / "contract.pdf").read_bytes() == b"%PDF-1.7"
    assert task.taskdata[field.id][-1]["filename"] == "contract.pdf"


@pytest.mark.anyio
async def test_the_bulk_example(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch_all = run_block("async def launch_all")["launch_all"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    sandbox = Sandbox()
    async with testing.connect(sandbox) as tallyfy:
        org = tallyfy.organization(sandbox.credentials.organization)
        template = await org.templates.find_by_name("Customer Onboarding")
        assert template is not None
        await launch_all(org, template.id)
    assert sandbox.world.launched == 2
    assert capsys.readouterr().out == "<Report of 2: 2 done, 0 refused, 0 unknown, 0 not run>\n"
    written = (tmp_path / "launched.csv").read_text().splitlines()
    assert len(written) == 3
    assert "A-2" in written[2]


@pytest.mark.anyio
async def test_the_webhook_example(capsys: pytest.CaptureFixture[str]) -> None:
    names = run_block("SenderCheck(")
    payload = samples.task(alias="review")
    path, headers = "/a-long-random-word", {"X-Tallyfy-orgID": samples.ORGANIZATION}
    async with (
        names["dispatcher"].running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(names["receiver"]), base_url="http://here") as tallyfy,
    ):
        for _ in range(2):
            assert (await tallyfy.post(path, json=payload, headers=headers)).status_code == 200
        assert (await tallyfy.post("/another", json=payload, headers=headers)).status_code == 401
    assert capsys.readouterr().out == f"reviewed: {payload['this_task']['title']}\n"


@pytest.mark.once
def test_the_commands_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (block,) = [block for block in blocks_of("../README.md") if "--from-csv" in block.code]
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    sandbox = Sandbox()
    with sandbox.serve(), reading(monkeypatch, tmp_path, sandbox) as reader:
        anyio.run(reader.do, block)
    assert (tmp_path / "copy.db").exists()
    assert sandbox.world.launched == 0
