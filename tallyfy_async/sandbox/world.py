"""The sandbox's world: organizations and what lies in them. Pure Python, no HTTP.

The state machines are functions over a Tenant, by noun: runs.py and tasks.py.
"""

import hmac
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from attrs import Factory, define, field

from .clients import Client, check_redirect_uris
from .directory import Directory
from .problems import resource_not_found
from .records import (
    Activity,
    Asset,
    Checklist,
    CustomField,
    Event,
    Folder,
    Group,
    Guest,
    Mail,
    Member,
    Preference,
    ProcessView,
    Role,
    Run,
    Tag,
    Task,
    Thread,
    User,
    Watcher,
    whole,
)
from .signing import Signer
from .tokens import AccessToken, Vault


@define(kw_only=True, eq=False)
class Tenant:
    """One organization with everything that belongs to it."""

    id: str
    name: str
    slug: str
    industry: str
    timezone: str
    created_at: int
    updated_at: int
    members: dict[int, Member] = field(factory=dict[int, Member])
    groups: dict[str, Group] = field(factory=dict[str, Group])
    tags: dict[str, Tag] = field(factory=dict[str, Tag])
    guests: dict[str, Guest] = field(factory=dict[str, Guest])
    directory: Directory = field(factory=Directory)
    checklists: dict[str, Checklist] = field(factory=dict[str, Checklist])
    runs: dict[str, Run] = field(factory=dict[str, Run])
    tasks: dict[str, Task] = field(factory=dict[str, Task])
    version: int = 0
    """Moves with every write: what was rendered before is stale."""
    last_increment: int = 1000
    folders: dict[str, Folder] = field(factory=dict[str, Folder])
    threads: dict[str, list[Thread]] = field(factory=dict[str, list[Thread]])
    """Id of a run, task or template -> what was said about it, oldest first."""
    assets: dict[str, Asset] = field(factory=dict[str, Asset])
    blobs: dict[str, bytes] = field(factory=dict[str, bytes])
    """Bytes of the assets that are kept in memory."""
    pivots: dict[tuple[str, str, str], int] = field(factory=dict[tuple[str, str, str], int])
    """(kind, owner, other) -> integer id of the row that ties the two: tag, folder, or stored value."""
    last_pivot: int = 4710
    misc_id: str | None = None
    """Id of the hidden template behind runs that a fan-out makes."""

    profile: dict[str, Any] = field(factory=dict[str, Any])
    """Details of the organization that were written: address, welcome texts, settings, plan."""
    billing_token: str | None = field(default=None, repr=False)
    allow_user_invite: bool = True
    allow_manage_groups: bool = True
    roles: dict[int, Role] = field(factory=dict[int, Role])
    process_views: dict[int, ProcessView] = field(factory=dict[int, ProcessView])
    preferences: dict[tuple[int, str], Preference] = field(factory=dict[tuple[int, str], Preference])
    """(member, slug) -> what is kept for them."""
    last_view: int = 1
    last_watcher: int = 300
    watchers: dict[int, Watcher] = field(factory=dict[int, Watcher])
    custom_fields: dict[int, CustomField] = field(factory=dict[int, CustomField])
    custom_values: dict[tuple[str, str], dict[str, Any]] = field(factory=dict[tuple[str, str], dict[str, Any]])
    """(noun, id) -> values by key; the nouns are those of custom_fields.py."""
    activities: list[Activity] = field(factory=list[Activity])
    last_activity: int = 12_000
    hourly: dict[str, list[float]] = field(factory=dict[str, list[float]])
    """Action -> when it happened in the last hour, for its cap."""
    events: deque[Event] = field(factory=lambda: deque[Event](maxlen=10_000), eq=False)
    """What webhooks have to tell of the present request; nothing that lasts."""

    def happened(self, name: str, record: Run | Task, *, thread: Thread | None = None, url: str | None = None) -> None:
        """Note something that webhooks tell of."""
        self.events.append(Event(name=name, record=record, thread=thread, url=url))

    def mention(self, *emails: str) -> list[Guest]:
        """Find guests by e-mail; new ones come in on first mention."""
        for email in emails:
            if email not in self.guests:
                self.guests[email] = self.directory.guest(self.id, email)
        return [self.guests[email] for email in emails]

    def next_increment(self) -> int:
        """Return the number of a new row."""
        self.last_increment += 1
        return self.last_increment

    def changed(self) -> None:
        """Note that a row was written."""
        self.version += 1

    def pivot(self, kind: str, owner: str, other: str) -> int:
        """Return the integer id of a relation; a new one gets the next."""
        key = (kind, owner, other)
        if key not in self.pivots:
            self.last_pivot += 1
            self.pivots[key] = self.last_pivot
        return self.pivots[key]

    def related(self, kind: str, number: int) -> tuple[str, str] | None:
        """Find what a relation of a kind ties together."""
        found = (key for key, value in self.pivots.items() if value == number and key[0] == kind)
        return next(((owner, other) for _, owner, other in found), None)

    def threads_of(self, subject_id: str) -> list[Thread]:
        """List what was said about a run, task or template, oldest first."""
        return self.threads.get(subject_id, [])

    def run(self, run_id: str, *, archived: bool = True) -> Run:
        """Find a run; `archived=False` looks at live ones only. Raise a 404 otherwise."""
        run = self.runs.get(run_id)
        if run is None or (run.archived_at is not None and not archived):
            raise resource_not_found()
        return run

    def task(self, task_id: object, *, run: Run | None = None, archived: bool = True) -> Task:
        """Find a task, of one run when given. Raise a 404 otherwise, also when it lies in another run."""
        task = self.tasks.get(task_id) if isinstance(task_id, str) else None
        if task is None or (task.archived_at is not None and not archived):
            raise resource_not_found()
        if run is not None and task.run_id != run.id:
            raise resource_not_found()
        return task

    def checklist(self, checklist_id: object) -> Checklist:
        """Find a live template. An archived one reads like an unknown one."""
        found = self.checklists.get(checklist_id) if isinstance(checklist_id, str) else None
        if found is None or found.archived_at is not None:
            raise resource_not_found()
        return found

    def member(self, user_id: object) -> Member:
        """Find a member by id, a number or its decimal spelling."""
        number = whole(user_id)
        found = None if number is None else self.members.get(number)
        if found is None:
            raise resource_not_found()
        return found

    def tasks_of(self, run: Run) -> list[Task]:
        """List the tasks of a run in order of position, without those that were archived on their own."""
        tasks = [self.tasks[i] for i in run.task_ids]
        shown = [t for t in tasks if t.archived_at is None or t.archived_at == run.archived_at]
        return sorted(shown, key=lambda t: t.position)


@define(kw_only=True, eq=False, repr=False)
class World:
    """Everything the sandbox knows.

    `clock` returns seconds since 1970. `rng` mints ids, so that a seed gives the same ids again.
    """

    clock: Callable[[], float] = time.time
    rng: random.Random
    users: dict[int, User] = field(factory=dict[int, User])
    clients: dict[str, Client] = field(factory=dict[str, Client])
    vault: Vault = field(factory=Vault)
    signer: Signer = field(factory=Signer)
    directory: Directory = field(default=Factory(lambda self: Directory(clock=self.clock), takes_self=True))
    mail: deque[Mail] = field(factory=lambda: deque[Mail](maxlen=1000))
    launched: int = 0
    completed: int = 0
    tenants: dict[str, Tenant] = field(factory=dict[str, Tenant])

    def now(self) -> int:
        """Return the current second."""
        return int(self.clock())

    def new_id(self) -> str:
        """Mint an id of 32 lower-case hex digits."""
        return f"{self.rng.getrandbits(128):032x}"

    def tenant(self, organization: str) -> Tenant:
        """Find an organization or raise a 404."""
        if organization not in self.tenants:
            raise resource_not_found()
        return self.tenants[organization]

    def user(self, who: int | str | User) -> User:
        """Find a user by id, email or record. Raise KeyError when there is none."""
        if isinstance(who, User):
            return who
        for user in self.users.values():
            if who in (user.id, user.email):
                return user
        raise KeyError(who)

    def authenticate(self, email: str, password: str) -> User | None:
        """Find the user whose email and password these are."""
        for user in self.users.values():
            if user.email == email.lower() and hmac.compare_digest(user.password.encode(), password.encode()):
                return user
        return None

    def places(self, user: User) -> list[Tenant]:
        """List the organizations in which a user is active, the one they are logged in to first."""
        tenants = [t for t in self.tenants.values() if user.id in t.members and t.members[user.id].status == "active"]
        return sorted(tenants, key=lambda tenant: tenant.id != user.home)

    def add_client(
        self,
        *,
        organization: str,
        redirect_uris: Iterable[object] = (),
        name: str = "Application",
        public: bool = False,
    ) -> Client:
        """Register an application; a public one has no secret. Raise ValueError for what cannot be registered."""
        if organization not in self.tenants:
            raise ValueError(f"there is no organization {organization!r}")
        client = Client(
            id=str(1 + max(map(int, self.clients), default=0)),
            secret=None if public else f"{secrets.token_hex(25)}+/=",
            organization=organization,
            name=name,
            redirect_uris=check_redirect_uris(redirect_uris),
        )
        self.clients[client.id] = client
        return client

    def logout(self, who: int | str | User) -> int:
        """Log a user out of the web app: their personal tokens die at once (seed 002). Return how many died."""
        return self.vault.revoke_personal(self.user(who).id)

    def personal_token(self, who: int | str | User, *, life: float, rng: random.Random | None = None) -> AccessToken:
        """Make a personal access token, as Settings > Integrations > REST API does."""
        user = self.user(who)
        return self.vault.issue(
            "personal",
            user_id=user.id,
            organization=user.home,
            client_id="1",
            scopes=frozenset({"*"}),
            now=self.clock(),
            life=life,
            rng=rng,
        )
