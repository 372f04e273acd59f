"""Fill a world with a deterministic organization: the same seed and settings give the same rows and ids."""

import random

from . import catalog
from .clients import Client
from .records import Group, Member, Tag, User
from .seed_people import grow_people
from .seed_rules import grow_rules
from .seed_runs import grow_oneoffs, grow_runs
from .seed_templates import grow_templates
from .seed_work import grow_work
from .settings import Credentials, Settings
from .world import Tenant, World

DAY = 24 * 3600
CLIENT_ID = "4242"
PUBLIC_CLIENT_ID = "4343"
REDIRECT_URIS = ("http://127.0.0.1/callback", "http://[::1]/callback", "https://app.example/callback")


def grow(world: World, settings: Settings, seed: int) -> Credentials:
    """Seed the organizations and return the credentials of the first user, who is an administrator of all of them.

    Every seeded user has the same password.
    """
    rng = random.Random(f"tallyfy-sandbox-{seed}")  # noqa: S311 - test data
    first = _tenant(rng, world, settings, "Analytical Engines", "Software & IT")
    world.tenants[first.id] = first
    people = _people(rng, settings, first.id)
    world.users.update({user.id: user for user in people})
    _staff(rng, first, people, settings)
    grow_templates(rng, first, settings)
    grow_runs(rng, first, settings)
    grow_oneoffs(rng, first, settings)
    grow_rules(random.Random(f"tallyfy-sandbox-rules-{seed}"), first)  # noqa: S311 - test data
    grow_people(first, settings)
    grow_work(first, settings, seed)
    for number in range(2, settings.organizations + 1):
        _branch(rng, world, settings, people, number)
    ada = people[0]
    password = f"pass-{rng.getrandbits(64):x} &%+"
    for user in people:
        user.password = password
    personal = world.personal_token(ada, life=settings.personal_life, rng=rng)
    secret = f"{rng.getrandbits(200):x}+/="
    for client_id, word, name in (
        (CLIENT_ID, secret, "Engine Room"),
        (PUBLIC_CLIENT_ID, None, "Engine Room for desktops"),
    ):
        world.clients[client_id] = Client(
            id=client_id, secret=word, organization=first.id, name=name, redirect_uris=REDIRECT_URIS
        )
    return Credentials(
        organization=first.id,
        client_id=CLIENT_ID,
        client_secret=secret,
        username=ada.email,
        password=password,
        personal_token=personal.value,
        organizations=tuple(tenant.id for tenant in world.places(ada)),
        public_client_id=PUBLIC_CLIENT_ID,
        redirect_uris=REDIRECT_URIS,
    )


def _tenant(rng: random.Random, world: World, settings: Settings, name: str, industry: str) -> Tenant:
    created = settings.seed_epoch - 500 * DAY
    return Tenant(
        id=f"{rng.getrandbits(128):032x}",
        name=name,
        slug=f"organization_{rng.getrandbits(128):032x}",
        industry=industry,
        timezone="America/Chicago",
        created_at=created,
        updated_at=settings.seed_epoch - 20 * DAY,
        directory=world.directory,
    )


def _people(rng: random.Random, settings: Settings, home: str) -> list[User]:
    return [_person(rng, settings, number, home) for number in range(max(1, settings.users))]


def _person(rng: random.Random, settings: Settings, number: int, home: str) -> User:
    names = catalog.FIRST_NAMES
    first, last = names[number % len(names)], catalog.LAST_NAMES[number % len(names)]
    turn = number // len(names)
    timezone, offset = catalog.ZONES[number % len(catalog.ZONES)]
    created = settings.seed_epoch - rng.randrange(120, 480) * DAY
    return User(
        id=1001 + number,
        email=f"{first}.{last}{turn or ''}@analytical-engines.com".lower(),
        first_name=first,
        last_name=last,
        password="",
        job_title=rng.choice(catalog.JOBS),
        timezone=timezone,
        utc_offset=offset,
        phone=f"+1555{number:07d}",
        created_at=created,
        updated_at=created + rng.randrange(1, 90) * DAY,
        home=home,
    )


def _staff(rng: random.Random, tenant: Tenant, people: list[User], settings: Settings) -> None:
    for number, user in enumerate(people):
        tenant.members[user.id] = _member(rng, user, number, settings)
    tenant.mention(*(f"guest{n}@{c}.org" for n, c in enumerate(("partner", "client", "auditor", "supplier"), 1)))
    active = [m.user.id for m in tenant.members.values() if m.status == "active"]
    for name in catalog.GROUPS:
        _group(rng, tenant, name, active, settings.seed_epoch)
    for title, color in catalog.TAGS:
        tag = Tag(id=_hex(rng), title=title, color=color, created_at=tenant.created_at + DAY)
        tenant.tags[tag.id] = tag


def _member(rng: random.Random, user: User, number: int, settings: Settings) -> Member:
    status = "invited" if number % 17 == 16 else "disabled" if number % 13 == 12 else "active"
    role = "Admin" if number % 12 == 0 else "Light" if number % 7 == 6 else "Standard"
    seen = settings.seed_epoch - rng.randrange(1, 30 * DAY)
    return Member(
        user=user,
        role=role,
        status=status,
        default_admin=number == 0,
        joined_at=user.created_at,
        last_login_at=None if status == "invited" else seen,
        invited_by=1001 if number else None,
        disabled_at=seen if status == "disabled" else None,
    )


def _group(rng: random.Random, tenant: Tenant, name: str, active: list[int], epoch: int) -> None:
    created = epoch - rng.randrange(60, 300) * DAY
    group = Group(
        id=_hex(rng),
        name=name,
        description=f"{name} team.",
        members=sorted(rng.sample(active, min(len(active), rng.randrange(2, 7)))),
        guests=rng.sample(sorted(tenant.guests), rng.randrange(2)),
        created_at=created,
        updated_at=created + 3 * DAY,
    )
    tenant.groups[group.id] = group


def _branch(rng: random.Random, world: World, settings: Settings, people: list[User], number: int) -> None:
    """Add a further, small organization of the first user."""
    tenant = _tenant(rng, world, settings, f"Difference Works {number}", "Manufacturing")
    world.tenants[tenant.id] = tenant
    for user in people[:3]:
        tenant.members[user.id] = Member(user=user, role="Admin", status="active", joined_at=tenant.created_at)


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"
