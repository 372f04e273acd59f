from __future__ import annotations

import copy
import json
import pathlib
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime
from typing import Any

import attrs
import pytest

import tallyfy_async
from tallyfy_async import models
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models import OneOffTaskUpdate, Owners, RunLaunch, RunUpdate, TaskUpdate, User
from tallyfy_async.models.processes import OneOffTaskReplace, RunFormFields
from tallyfy_async.models.task_inputs import TaskCreate
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.kinds import field_key, is_model, required_keys

CONTRACT = pathlib.Path(tallyfy_async.__file__).with_name("sandbox") / "openapi.json"
SCHEMAS: dict[str, Any] = json.loads(CONTRACT.read_bytes())["components"]["schemas"]

READS = {
    "Asset": models.Asset,
    "AssetSubject": models.AssetSubject,
    "AutomatedAction": models.AutomatedAction,
    "AutomationAction": models.AutomationAction,
    "AutomationAssignees": models.AutomationAssignees,
    "AutomationCondition": models.AutomationCondition,
    "AutomationDeadline": models.AutomationDeadline,
    "Capture": models.Capture,
    "CaptureColumn": models.FieldColumn,
    "CaptureOption": models.FieldOption,
    "Checklist": models.Checklist,
    "Comment": models.Comment,
    "Country": models.Country,
    "FieldColumn": models.FieldColumn,
    "FieldOption": models.FieldOption,
    "Folder": models.Folder,
    "GroupBrief": models.GroupBrief,
    "NextTask": models.NextTask,
    "Organization": models.Organization,
    "OwnersOut": models.Owners,
    "Prerun": models.Prerun,
    "Run": models.Run,
    "RunFormFields": RunFormFields,
    "RunProgress": models.Progress,
    "Stage": models.Stage,
    "Step": models.Step,
    "StepBpToLaunch": models.StepBpToLaunch,
    "StepDeadlineOut": models.StepDeadline,
    "StepStartDate": models.StepStartDate,
    "TagAssociation": models.TagAssociation,
    "TagRef": models.TagRef,
    "Task": models.Task,
    "TaskFormField": models.FormField,
    "User": models.User,
    "UserRef": models.UserRef,
    "UserStats": models.UserStats,
}

# Input -> schema, keys that are arguments of their own, keys that are left out on purpose.
INPUTS = {
    "RunCreate": (RunLaunch, {"checklist_id"}),
    "RunUpdate": (RunUpdate, set[str]()),
    # The summary under another name, which some pages of the documentation have.
    "TaskCreate": (TaskCreate, {"description"}),
    "TaskUpdate": (TaskUpdate, set[str]()),
    "OneOffTaskUpdate": (OneOffTaskUpdate, set[str]()),
    "OwnersInput": (models.OwnersInput, set[str]()),
    # The older place of the deadline, for clients of 2018.
    "TaskOverride": (models.TaskOverride, {"taskdata"}),
}


def properties(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return properties(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]])
    keys = set(schema.get("properties", {}))
    for part in [*schema.get("allOf", ()), *schema.get("oneOf", ())]:
        keys |= properties(part)
    return keys


@pytest.mark.parametrize("name", READS)
def test_a_model_knows_every_key_of_its_schema(name: str) -> None:
    known = {field_key(field) for field in attrs.fields(READS[name])} - {"extra"}
    assert properties(SCHEMAS[name]) - known == set()
    assert properties(SCHEMAS[name])


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_knows_every_key_of_its_schema_and_no_other(name: str) -> None:
    kind, apart = INPUTS[name]
    assert set(kind.__annotations__) == properties(SCHEMAS[name]) - apart
    assert properties(SCHEMAS[name])


@pytest.mark.parametrize("name", models.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    thing = getattr(models, name)
    if not isinstance(thing, type):
        return
    assert thing.__doc__
    if is_model(thing):
        assert thing.__doc__ != "Something that a reply describes."
        # Only what identifies a thing may be missing with an error.
        assert set(required_keys(thing)) <= {"id", "name", "title", "email", "slug"}


def test_the_package_gives_its_names_lazily() -> None:
    assert models.__all__ == sorted(models.__all__, key=str)
    assert set(models.__all__) <= set(dir(models))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        models.Nothing  # noqa: B018
    code = (
        "import sys, tallyfy_async.models as m; before = set(sys.modules); m.Country; "
        "new = set(sys.modules) - before; assert 'tallyfy_async.models.identity' in new, new; "
        "assert not {'tallyfy_async.models.processes', 'tallyfy_async.models.templates'} & new, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_owners_become_a_whole_input() -> None:
    owners = structure(
        {
            "users": [1, {"id": "2", "full_name": "Ada"}],
            "guests": ["a@b.com", {"email": "c@d.com"}],
            "groups": ["g", {"id": 5}],
        },
        Owners,
    )
    assert owners.as_input() == {"users": [1, 2], "guests": ["a@b.com", "c@d.com"], "groups": ["g", "5"]}
    assert write(TaskUpdate, {"owners": owners.as_input()}) == {"owners": owners.as_input()}


@pytest.mark.parametrize(
    "payload",
    [
        {"users": [], "guests": []},
        {"users": [], "groups": []},
        {"guests": [], "groups": []},
        {"users": [], "guests": [{"code": "x"}], "groups": []},
    ],
)
def test_owners_that_were_not_read_whole_are_not_sent(payload: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="read the task alone first"):
        structure(payload, Owners).as_input()


def test_the_members_of_a_run() -> None:
    run = structure({"id": "r", "name": "n", "users": [3, {"id": 4}], "groups": ["g"]}, models.Run)
    assert (run.user_ids, run.group_ids) == ((3, 4), ("g",))
    run = structure({"id": "r", "name": "n", "users": []}, models.Run)
    assert (run.user_ids, run.group_ids) == ((), None)


def test_a_partial_owners_input_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="owners lacks groups, guests: the server empties a bucket"):
        write(TaskUpdate, {"owners": {"users": [1]}}, what="runs.tasks.update")
    with pytest.raises(ConfigurationError, match=r"tasks\['s'\].owners lacks users"):
        write(RunLaunch, {"tasks": {"s": {"owners": {"guests": [], "groups": []}}}})


def test_a_launch() -> None:
    body = write(
        RunLaunch,
        {
            "name": "n",
            "prerun": {"a": date(2026, 12, 1), "b": {"id": 1, "text": "x"}},
            "tasks": {"s": {"deadline": datetime(2026, 12, 1, 9, tzinfo=UTC)}},
            "users": {2, 1},
        },
    )
    assert body == {
        "name": "n",
        "prerun": {"a": "2026-12-01 00:00:00", "b": {"id": 1, "text": "x"}},
        "tasks": {"s": {"deadline": "2026-12-01 09:00:00"}},
        "users": [1, 2],
    }
    with pytest.raises(ConfigurationError, match="prerun must be a mapping, not list: key the answers by field id"):
        write(RunLaunch, {"prerun": [{"id": "a", "value": 1}]})
    with pytest.raises(ConfigurationError, match="did you mean 'prerun'"):
        write(RunLaunch, {"prerun_data": {}})
    with pytest.raises(ConfigurationError, match="did you mean 'name'"):
        write(RunLaunch, {"title": "n"})


def test_a_one_off_task_is_replaced_with_three_keys_each_time() -> None:
    with pytest.raises(ConfigurationError, match="lacks deadline, owners"):
        write(OneOffTaskReplace, {"title": "t"})
    owners = {"users": [1], "guests": [], "groups": []}
    assert write(OneOffTaskReplace, {"title": "t", "deadline": date(2026, 12, 1), "owners": owners}) == {
        "title": "t",
        "deadline": "2026-12-01 00:00:00",
        "owners": owners,
    }
    assert write(TaskUpdate, {"webhook": None}) == {"webhook": None}


def test_models_without_extra_share_an_empty_one_that_stays_empty() -> None:
    first, second = structure([{"id": 1, "email": "a@example.com"}] * 2, tuple[User, ...])
    assert first.extra is second.extra
    assert first.extra == {}
    assert json.dumps(first.extra) == "{}"
    for change in (
        lambda extra: extra.update(a=1),
        lambda extra: extra.setdefault("a", 1),
        lambda extra: extra.__setitem__("a", 1),
        lambda extra: extra.__ior__({"a": 1}),
        lambda extra: extra.pop("a", None),
    ):
        with pytest.raises(TypeError, match=r"attrs\.evolve"):
            change(first.extra)
    assert (dict(first.extra), copy.copy(first).extra, copy.deepcopy(first).extra) == ({}, {}, {})
    assert pickle.loads(pickle.dumps(first)).extra is first.extra
    assert attrs.evolve(first, extra={"a": 1}).extra == {"a": 1}
