"""The sandbox of a soak in a process of its own, behind a proxy that cuts connections: reads, and writes too.

It prints a JSON object with its addresses, credentials and the runs of every template. For every line that it then
reads, it prints what its world holds, from its own memory and past every client.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from attrs import asdict

from tallyfy_async.sandbox import Sandbox, Settings
from tallyfy_async.sandbox.faults import Fault, Profile
from tallyfy_async.sandbox.proxy import Rule

TOKEN_LIFE = 2.0
"""Seconds for which an access token lives."""

_ORG = r"^/(api/)?organizations/"
# What may befall a write that the client cannot tell from one that landed, or from one that did not.
_CUTS = (
    Rule(method="POST", path=_ORG, times=None, probability=0.01, drop_before=True),
    Rule(method="POST", path=_ORG, times=None, probability=0.01, drop_after=True),
    Rule(method="POST", path=_ORG, times=None, probability=0.005, drop_after=True, reset=True),
    Rule(method="PUT", path=_ORG, times=None, probability=0.01, drop_after=True),
)
_SILENT = (
    Fault(method="POST", path="/organizations/", times=None, probability=0.005, status=503, stage="before"),
    Fault(method="POST", path="/organizations/", times=None, probability=0.005, status=503, stage="after"),
)


def truth(sandbox: Sandbox) -> dict[str, Any]:
    """Return every title and status, name and filename of the organization, and the counters."""
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    return {
        "tasks": [[task.title, task.status] for task in tenant.tasks.values()],
        "runs": [run.name for run in tenant.runs.values()],
        "files": [asset.filename for asset in tenant.assets.values()],
        "stats": sandbox.report(),
    }


def runs_of_templates(sandbox: Sandbox) -> dict[str, list[str]]:
    """Return the ids of the runs of each template."""
    found: dict[str, list[str]] = {}
    for run in sandbox.world.tenants[sandbox.credentials.organization].runs.values():
        found.setdefault(run.checklist_id, []).append(run.id)
    return found


def main(weather: Profile) -> None:
    """Serve until standard input ends."""
    sandbox = Sandbox(Settings(access_life=TOKEN_LIFE, templates=4, runs=240, tasks=600, users=8))
    sandbox.faults.profile(weather)
    wild = weather != "none"
    sandbox.faults.add(*(_SILENT if wild else ()))
    with sandbox.serve(), sandbox.proxy(*(_CUTS if wild else ())) as proxy:
        proxy.profile(weather)
        hello = {"url": proxy.url, "direct": sandbox.url, "login": asdict(sandbox.credentials)}
        print(json.dumps({**hello, "runs": runs_of_templates(sandbox)}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(truth(sandbox)), flush=True)


if __name__ == "__main__":
    main("many" if sys.argv[1:] == ["many"] else "none" if sys.argv[1:] == ["none"] else "some")
