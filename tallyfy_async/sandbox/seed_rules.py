"""Automations of the seeded templates. Seeded runs were launched before them and know none."""

import random

from .records import Action, Checklist, Condition, Rule
from .world import Tenant

DAY = 24 * 3600


def grow_rules(rng: random.Random, tenant: Tenant) -> None:
    """Give three templates a rule: one that hides a step, one that shows a step, one that answers a rejection."""
    templates = list(tenant.checklists.values())
    for number, make in ((0, _hide), (4, _rejected), (9, _show)):
        checklist = templates[number] if number < len(templates) else None
        if checklist is not None and len(checklist.steps) > 1:
            checklist.rules += [rule for rule in [make(rng, checklist)] if rule is not None]


def _rule(rng: random.Random, checklist: Checklist, alias: str, condition: Condition, *actions: Action) -> Rule:
    moment = checklist.created_at + DAY
    return Rule(
        id=f"{rng.getrandbits(128):032x}",
        alias=alias,
        conditions=(condition,),
        actions=actions,
        created_at=moment,
        updated_at=moment,
    )


def _hide(rng: random.Random, checklist: Checklist) -> Rule | None:
    """Skip the last step of what has a low priority."""
    fields = [field for field in checklist.prerun if field.field_type == "radio"]
    if not fields:
        return None
    asked = _about("Prerun", fields[0].id, "equals", fields[0].options[-1]["text"])
    return _rule(rng, checklist, "Skip the end when it is not urgent", asked, _seen("hide", checklist))


def _show(rng: random.Random, checklist: Checklist) -> Rule | None:
    """Show the last step only when a text asks for it."""
    fields = [field for field in checklist.prerun if field.field_type == "text"]
    if not fields:
        return None
    asked = _about("Prerun", fields[0].id, "contains", "extra")
    return _rule(rng, checklist, "Show the extra step", asked, _seen("show", checklist))


def _rejected(rng: random.Random, checklist: Checklist) -> Rule | None:
    """Give the owner of the template a day for the first step when something is rejected."""
    approvals = [step for step in checklist.steps[1:] if step.step_type == "approval"]
    if not approvals:
        return None
    target = checklist.steps[0].id
    people = {"users": [checklist.owner_id], "guests": list[str](), "groups": list[str]()}
    span = {"value": 1, "unit": "days", "option": "from"}
    return _rule(
        rng,
        checklist,
        "Back to the start after a rejection",
        _about("Step", approvals[0].id, "rejected", "any_time"),
        Action(id="1", type="status", verb="reopen", target=target, position=1),
        Action(id="2", type="assignment", verb="assign_only", target=target, position=2, assignees=people),
        Action(id="3", type="deadline", verb="deadline", target=target, position=3, deadline=span),
    )


def _about(kind: str, ident: str, operation: str, statement: str) -> Condition:
    return Condition(
        id="1",
        subject_type=kind,
        subject_id=ident,
        operation=operation,
        statement=statement,
        logic="and",
        position=1,
    )


def _seen(verb: str, checklist: Checklist) -> Action:
    return Action(id="1", type="visibility", verb=verb, target=checklist.steps[-1].id, position=1)
