"""Templates of the seeded organization: steps, kick-off forms, fields of all ten types."""

import random
from itertools import cycle, islice

from . import catalog
from .records import Checklist, Field, JsonObject, Step
from .settings import Settings
from .world import Tenant

DAY = 24 * 3600
FIELD_TYPES = tuple(catalog.FIELD_LABELS)
_SPREAD = (-5, 3, -2, 5, 0, -4, 4, 1, -3, 2, -1, 0)
"""How the step counts differ from template to template; the sum is 0."""


def grow_templates(rng: random.Random, tenant: Tenant, settings: Settings) -> None:
    """Add `settings.templates` templates whose step counts add up to the asked number of tasks."""
    base = max(1, (settings.tasks - settings.tasks // 25) // max(1, settings.runs))
    for number in range(settings.templates):
        spread = _SPREAD[number % len(_SPREAD)] if base > 6 else 0
        checklist = _template(rng, tenant, settings, number, base + spread)
        tenant.checklists[checklist.id] = checklist


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"


def _template(rng: random.Random, tenant: Tenant, settings: Settings, number: int, size: int) -> Checklist:
    title, icon, summary, things = catalog.TEMPLATES[number % len(catalog.TEMPLATES)]
    turn = number // len(catalog.TEMPLATES)
    created = settings.seed_epoch - rng.randrange(130, 400) * DAY
    ident = _hex(rng)
    admins = [m.user.id for m in tenant.members.values() if m.is_admin]
    return Checklist(
        id=ident,
        increment_id=tenant.next_increment(),
        alias=_alias(title, turn),
        title=f"{title} {turn + 1}" if turn else title,
        summary=summary,
        type="procedure" if number % 5 != 4 else "form",
        status="active" if number % 3 else None,
        icon=icon,
        owner_id=rng.choice(admins),
        starred=number % 4 == 0,
        pinned=number % 6 == 5,
        can_add_oot=number % 4 != 3,
        steps=[_step(rng, tenant, ident, created=created, things=things, place=place) for place in range(1, size + 1)],
        prerun=_kickoff(rng, number, created),
        users=[rng.choice(admins)] if number % 2 else [],
        groups=[rng.choice(sorted(tenant.groups))] if number % 3 == 1 else [],
        tags=[rng.choice(sorted(tenant.tags))] if number % 2 == 0 else [],
        created_at=created,
        updated_at=created + rng.randrange(1, 100) * DAY,
    )


def _alias(title: str, turn: int) -> str:
    return f"{title.lower().replace(' ', '-')}-v{turn + 1}"


def _kickoff(rng: random.Random, number: int, created: int) -> list[Field]:
    """Give the first template all ten types; every third template has nothing that is required."""
    kinds = FIELD_TYPES if number == 0 else tuple(islice(cycle(FIELD_TYPES), number, number + 2 + number % 3))
    demanding = number % 3 != 2
    return [
        make_field(rng, kind, place, created, required=demanding and place == 1) for place, kind in enumerate(kinds, 1)
    ]


def make_field(rng: random.Random, kind: str, place: int, created: int, *, required: bool = False) -> Field:
    """Make a field definition of one of the ten types."""
    label = catalog.FIELD_LABELS[kind]
    options: list[JsonObject] = [
        {"id": n, "text": text, "value": None} for n, text in enumerate(catalog.OPTIONS.get(kind, ()), 1)
    ]
    columns: list[JsonObject] = (
        [{"id": n, "label": text} for n, text in enumerate(catalog.COLUMNS, 1)] if kind == "table" else []
    )
    return Field(
        id=_hex(rng),
        alias=f"{label.lower().replace(' ', '-')}-{rng.randrange(10**6, 10**7)}",
        label=label,
        field_type=kind,
        position=place,
        required=required,
        guidance=f"Please fill in: {label.lower()}." if place % 2 else None,
        options=options,
        columns=columns,
        created_at=created,
        updated_at=created,
    )


def _step(
    rng: random.Random, tenant: Tenant, checklist_id: str, *, created: int, things: tuple[str, ...], place: int
) -> Step:
    turn = place - 1
    verb = catalog.VERBS[turn % len(catalog.VERBS)]
    thing = things[turn // len(catalog.VERBS) % len(things)]
    title = f"{verb} {thing}"
    people = [m.user.id for m in tenant.members.values() if m.status == "active"]
    kinds = islice(cycle(FIELD_TYPES), turn, turn + place % 3)
    return Step(
        id=_hex(rng),
        checklist_id=checklist_id,
        alias=f"{title.lower().replace(' ', '_')}_{place}",
        title=title,
        summary=f"<p>{title} and note anything unusual.</p>" if place % 2 else None,
        step_type=catalog.STEP_TYPES.get(verb, "task"),
        position=place,
        deadline={"value": place, "unit": "days", "option": "from", "step": "start_run"} if place % 5 else {},
        start_date={"value": 0, "unit": "days"} if place % 2 else {},
        users=sorted(rng.sample(people, min(len(people), place % 3))),
        guests=[rng.choice(sorted(tenant.guests))] if place % 9 == 8 else [],
        groups=[rng.choice(sorted(tenant.groups))] if place % 8 == 7 else [],
        captures=[
            make_field(rng, kind, n, created, required=place % 6 == 5 and n == 1) for n, kind in enumerate(kinds, 1)
        ],
        max_assignable=0,
        can_complete_only_assignees=place % 11 == 10,
        created_at=created,
        updated_at=created + 2 * DAY,
    )
