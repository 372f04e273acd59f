"""Answers by label in launches and task updates: the form is read where the caller has not filled one in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.forms import KickoffAnswers, KickoffForm, TaskAnswers, TaskForm
from tallyfy_async.models.processes import RunLaunch, Task
from tallyfy_async.protocol.converter import write
from tallyfy_async.resources.base import body_id, check_answers

Kickoff: TypeAlias = Mapping[str, Any] | KickoffAnswers
"""Kick-off answers by label, alias or id, or a kick-off form that was filled in."""
Values: TypeAlias = Mapping[str, Any] | TaskAnswers
"""Answers of a task by label, alias or id, or a task's form that was filled in."""


async def kickoff_answers(
    checklist_id: str, kickoff: Kickoff, read: Callable[[], Awaitable[KickoffForm]]
) -> dict[str, Any]:
    """Return kick-off answers as field id -> value; a form that is not filled in yet is read.

    Raises ConfigurationError for a form of another template, KickoffError for answers that do not fit.
    """
    if not isinstance(kickoff, KickoffAnswers):
        _check_mapping("kickoff", kickoff)
        return (await read()).encode(kickoff)
    if kickoff.checklist_id != checklist_id:
        msg = f"kickoff is filled in for template {kickoff.checklist_id}, not for {checklist_id}"
        raise ConfigurationError(msg)
    return dict(kickoff.prerun)


async def launch_payload(
    checklist_id: str, fields: Mapping[str, Any], read: Callable[[], Awaitable[KickoffForm]], *, what: str
) -> dict[str, Any]:
    """Return the body of a launch from its arguments, ``kickoff`` among them; ``read`` gives the form if it is needed.

    Raises ConfigurationError for wrong arguments and for answers given in two ways, KickoffError for answers that do
    not fit.
    """
    kickoff = fields.get("kickoff")
    body = write(RunLaunch, {name: value for name, value in fields.items() if name != "kickoff"}, what=what)
    check_answers("prerun", body.get("prerun"), "checklist.prerun")
    check_once(body, "prerun", "kickoff", kickoff)
    payload = {"checklist_id": body_id("checklist_id", checklist_id), **body}
    if kickoff is not None:
        payload["prerun"] = await kickoff_answers(checklist_id, kickoff, read)
    return payload


def _check_mapping(name: str, answers: Any) -> None:
    if not isinstance(answers, Mapping):
        msg = f"{name} must be a mapping such as {{label: value}} or form.fill({{…}}), not {type(answers).__name__}"
        raise ConfigurationError(msg)


def check_once(fields: Mapping[str, Any], key: str, name: str, answers: Any) -> None:
    """Raise ConfigurationError where answers are given in two ways."""
    if answers is not None and key in fields:
        msg = f"pass {name} (by label) or {key} (by field id), not both"
        raise ConfigurationError(msg)


def needs_form(values: Values | None) -> bool:
    """Tell whether the task must be read to send these answers; raise ConfigurationError for what are none."""
    if values is None or isinstance(values, TaskAnswers):
        return False
    _check_mapping("values", values)
    return True


def taskdata(task_id: str, values: Values | None, task: Task | None) -> dict[str, Any]:
    """Return what an update of a task says of its answers: nothing, or ``taskdata``."""
    if isinstance(values, TaskAnswers):
        if values.task_id not in {None, task_id}:
            msg = f"values are filled in for task {values.task_id}, not for {task_id}"
            raise ConfigurationError(msg)
        return {"taskdata": dict(values.taskdata)}
    return {} if values is None or task is None else {"taskdata": TaskForm.of(task).encode(values)}
