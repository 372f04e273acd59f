"""The public API as type checkers see it: checked by mypy --strict and pyright strict, never run.

An ignored error that is no error any more is an error itself (warn_unused_ignores, and the file-level setting below).
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, assert_type

from tallyfy_async import (
    UNSET,
    APIError,
    AttemptRecord,
    AuthorizationCode,
    AuthorizationRequest,
    ClientCredentials,
    ConfigurationError,
    FileStore,
    Hooks,
    ImplicitToken,
    KeyringStore,
    KickoffForm,
    MemoryStore,
    OnBehalfOf,
    Operation,
    Organization,
    Outcome,
    Page,
    Pager,
    PasswordGrant,
    RateLimit,
    RateLimitError,
    RedisStore,
    RefreshToken,
    RequestOptions,
    Response,
    RetryPolicy,
    Secret,
    StaticToken,
    StoredLogin,
    TallyfyClient,
    TallyfyError,
    TaskForm,
    Timeouts,
    Token,
    TokenManager,
    TokenRecord,
    TokenStatistics,
    TokenStore,
    Unset,
    ValidationError,
    bulk,
    generate_key,
    models,
    operations,
)
from tallyfy_async.engine.download import Download
from tallyfy_async.engine.otel import OpenTelemetryHooks
from tallyfy_async.models import ApplicationUser, Checklist, OwnersInput, Run, Task, User
from tallyfy_async.models import Organization as Tenant
from tallyfy_async.models.processes import RunLaunch
from tallyfy_async.telemetry import CallHooks, CallRecord, LoggingHooks
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.manual_clock import ManualClock

GRANT = PasswordGrant(client_id="42", client_secret="s", username="ada@example.com", password="p")


APPLICATION = ClientCredentials(client_id="42", client_secret=lambda: Secret("rotated"))
ACTING = OnBehalfOf(application=APPLICATION, organization="o", email="ada@example.com")


def ways_to_a_token(request: AuthorizationRequest, client: TallyfyClient) -> None:
    assert_type(request.redeem("https://app.example/callback?code=c"), AuthorizationCode | ImplicitToken)
    grants: list[AuthorizationCode | ImplicitToken | StoredLogin | OnBehalfOf | RefreshToken] = [
        AuthorizationCode(client_id="42", client_secret=None, code="c", redirect_uri="https://app.example/callback"),
        ImplicitToken(client_id="42", access_token="a", issued_at=0.0),
        StoredLogin(client_id="42", client_secret="s", login="0123456789abcdef"),
        RefreshToken(client_id="42", client_secret=None, refresh_token="r"),
        ACTING,
    ]
    for grant in grants:
        TallyfyClient(grant, organizations={"o": ACTING, "p": "personal token"}, check_scopes=False)
    stores: list[TokenStore] = [
        FileStore("tokens", keys=generate_key()),
        KeyringStore(),
        MemoryStore(),
        RedisStore("redis://localhost", keys=[generate_key()], when_down="memory"),
    ]
    TallyfyClient(GRANT, token_store=stores[0])
    assert_type(client.authorization_request("https://app.example/callback"), AuthorizationRequest)
    assert_type(TallyfyClient.from_login(client_secret="s", timeout=5), TallyfyClient)
    assert_type(client.tokens_of("o"), TokenManager)


async def provisioning(client: TallyfyClient) -> None:
    made = await client.applications.create_user("o", first_name="Ada", last_name="L", email="ada@example.com")
    assert_type(made, ApplicationUser)
    assert_type(await client.tokens.adopt(Token(access_token="a", issued_at=0.0)), Token)
    await client.tokens.forget()


def ways_to_a_client() -> None:
    assert_type(TallyfyClient("personal token"), TallyfyClient)
    TallyfyClient(GRANT, timeout=5, deadline=None, retry=3, organization="o")
    TallyfyClient(GRANT, timeout=Timeouts(attempt=5, connect=2), retry=RetryPolicy(attempts=2), max_connections=5)
    TallyfyClient(StaticToken("t"), rate_limit=RateLimit(per_minute=600, burst=10), token_store=MemoryStore())
    TallyfyClient(ClientCredentials(client_id="42", client_secret=lambda: Secret("s"), scope=None))
    TallyfyClient(RefreshToken(client_id="42", client_secret="s", refresh_token="r"), clock=SystemClock())
    assert_type(TallyfyClient.from_env(timeout=3), TallyfyClient)
    TallyfyClient("t", timeout="5")  # type: ignore[arg-type]
    TallyfyClient("t", time_out=5)  # type: ignore[call-arg]
    TallyfyClient()  # type: ignore[call-arg]
    TallyfyClient(42)  # type: ignore[arg-type]
    PasswordGrant(client_id="42", client_secret="s", username="u")  # type: ignore[call-arg]


async def life_of_a_client(client: TallyfyClient) -> None:
    async with client as entered:
        assert_type(entered, TallyfyClient)
    assert_type(client.with_options(auth=GRANT, timeout=1, headers={"X-Trace": "1"}), TallyfyClient)
    client.with_options(max_connections=5)  # type: ignore[call-arg]
    assert_type(client.organization(), Organization)
    assert_type(client.tokens, TokenManager)
    assert_type(await client.tokens.get(), Token)
    assert_type(await client.tokens.refresh(if_generation=3), Token)
    assert_type(client.tokens.statistics, TokenStatistics)
    assert_type(await client.aclose(), None)


async def raw_requests(client: TallyfyClient) -> None:
    response = await client.request("GET", "/me", params={"with": "stats"}, options=RequestOptions(timeout=3))
    assert_type(response, Response)
    assert_type(response.status, int)
    assert_type(response.headers["x"], str)
    assert_type(response.content, bytes)
    assert_type(response.request_id, str | None)
    assert_type(response.elapsed, float)
    assert_type(response.attempts, int)
    response.status = 5  # type: ignore[misc]
    await client.request("GET", "/me", parms={})  # type: ignore[call-arg]


async def lists(client: TallyfyClient, org: Organization) -> None:
    pager = org.runs.list(status="active", owners=[1], per_page=10)
    assert_type(pager, Pager[Run])
    page = await pager
    assert_type(page, Page[Run])
    assert_type(page[0], Run)
    assert_type(page[:2], tuple[Run, ...])
    assert_type(page.total, int | None)
    assert_type(page.has_next, bool)
    assert_type(await page.next(), Page[Run])
    assert_type([run async for run in pager], list[Run])
    assert_type([one async for one in pager.pages()], list[Page[Run]])
    assert_type(await pager.collect(limit=5), list[Run])
    async with pager.prefetch(concurrency=4) as items:
        assert_type(items, AsyncIterator[Run])
        assert_type(await anext(items), Run)
    sequence: Sequence[Run] = page
    assert_type(sequence[0], Run)
    assert_type(await client.organizations.list(), Page[Tenant])
    assert_type(await org.users.list(with_=["groups"]), Page[User])
    assert_type(await org.checklists.list(starred=True), Page[Checklist])
    assert_type(await org.templates.list(), Page[Checklist])
    assert_type(await org.tasks.list(deadline_on=date(2026, 12, 1)), Page[Task])
    assert_type(await org.runs.tasks.list("r", status="active"), Page[Task])
    assert_type(await org.me.tasks.list(), Page[Task])
    org.runs.list(state="active")  # type: ignore[call-arg]
    org.runs.list(starred="yes")  # type: ignore[arg-type]
    org.runs.list(10)  # type: ignore[call-arg]
    await pager.collect("5")  # type: ignore[arg-type]


async def items(client: TallyfyClient, org: Organization) -> None:
    assert_type(await client.me.get(), User)
    assert_type(await org.users.get(1001, with_=["stats"]), User)
    assert_type(await org.checklists.get("c"), Checklist)
    run = await org.processes.get("r", options=RequestOptions(retry=0))
    assert_type(run, Run)
    assert_type(run.name, str)
    assert_type(run.created_at, datetime | None)
    assert_type(run.user_ids, tuple[int, ...] | None)
    assert_type(run.extra, Mapping[str, Any])
    assert_type(run.to_dict(), dict[str, Any])
    assert_type(await org.tasks.get("t"), Task)
    assert_type(await org.runs.tasks.get("r", "t"), Task)
    run.name = "x"  # type: ignore[misc]
    await org.runs.get()  # type: ignore[call-arg]
    await org.users.get("1001")  # type: ignore[arg-type]
    await org.runs.get("r", include=["tasks"])  # type: ignore[call-arg]


async def writes(org: Organization) -> None:
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    nobody = OwnersInput(users=[], guests=[], groups=[])
    run = await org.runs.launch("c", name="Onboard Ada", prerun={"f": moment}, tasks={"s": {"deadline": moment}})
    assert_type(run, Run)
    assert_type(await org.runs.update("r", name="x", users=[1], groups=[]), Run)
    assert_type(await org.runs.archive("r"), None)
    assert_type(await org.runs.activate("r"), Run)
    assert_type(await org.runs.tasks.update("r", "t", owners=nobody, deadline=date(2026, 12, 1), webhook=None), Task)
    assert_type(await org.runs.tasks.complete("r", "t", is_approved=True), Task)
    assert_type(await org.runs.tasks.reopen("r", "t"), Task)
    assert_type(await org.tasks.update("t", title="x", deadline=moment, owners=nobody), Task)
    assert_type(await org.tasks.complete("t", override_user=1), Task)
    assert_type(await org.tasks.reopen("t"), Task)
    fields: RunLaunch = {"name": "x", "starred": True}
    assert_type(await org.runs.launch("c", **fields), Run)
    await org.runs.launch("c", nmae="x")  # type: ignore[call-arg]
    await org.runs.launch("c", name=5)  # type: ignore[arg-type]
    await org.runs.launch("c", "name")  # type: ignore[call-arg, arg-type]
    assert_type(await org.tasks.update("t", title="x"), Task)
    await org.tasks.replace("t", title="x")  # type: ignore[call-arg]
    await org.runs.replace("r", name="x", users=[])  # type: ignore[call-arg]
    await org.runs.tasks.update("r", "t", owners={"users": []})  # type: ignore[typeddict-item]
    await org.runs.tasks.complete("r", "t", is_approved="yes")  # type: ignore[arg-type]
    await org.runs.update("r", title="x")  # type: ignore[call-arg]


async def templates(org: Organization) -> None:
    age: models.CaptureCreate = {"label": "Age", "field_type": "text", "required": False}
    first: models.PrerunCreate = {"label": "Age", "field_type": "text", "required": False}
    assert_type(await org.checklists.find_by_name("Onboarding"), Checklist | None)
    assert_type(await org.checklists.create(title="Onboarding", type="procedure"), Checklist)
    assert_type(await org.checklists.update("c", summary="x", folder_id=None), Checklist)
    assert_type(await org.checklists.archive("c"), models.ChecklistArchived)
    assert_type(await org.checklists.form_fields("c"), models.ChecklistFormFields)
    assert_type(await org.checklists.steps.list("c"), Page[models.Step])
    assert_type(await org.checklists.steps.create("c", title="Call"), models.Step)
    assert_type(await org.checklists.steps.delete("c", "s"), None)
    assert_type(await org.checklists.steps.captures.create("c", "s", age), models.Capture)
    assert_type(await org.checklists.preruns.create("c", first), Checklist)
    assert_type(await org.checklists.automations.delete("c", "a"), None)
    assert_type(await org.checklists.custom_fields.get("c"), dict[str, Any])
    async with org.checklists.download_export("c") as file:
        assert_type(file, Download)
    await org.checklists.create(titel="Onboarding", type="procedure")  # type: ignore[call-arg]
    await org.checklists.steps.create("c", title=5)  # type: ignore[arg-type]
    await org.checklists.steps.get("s")  # type: ignore[call-arg]


async def forms(org: Organization) -> None:
    form = await org.checklists.kickoff_form("c")
    assert_type(form, KickoffForm)
    assert_type(await org.runs.launch("c", kickoff={"Start date": date(2026, 12, 1)}), Run)
    assert_type(await org.runs.launch("c", kickoff=form.fill({"Start date": "2026-12-01"})), Run)
    assert_type(await org.tasks.form("t"), TaskForm)
    assert_type(await org.runs.tasks.update("r", "t", values={"Age": 36}), Task)
    await org.runs.launch("c", kickoff=[("Age", 36)])  # type: ignore[arg-type]


async def many_at_once(org: Organization) -> None:
    report = await org.runs.launch_many([{"name": "Ada"}], checklist_id="c", concurrency=5)
    assert_type(report, bulk.Report[Run])
    assert_type(report.done, tuple[bulk.Row[Run], ...])
    assert_type(await org.runs.launch_many([], checklist_id="c", resume=report), bulk.Report[Run])
    org.runs.launch_many([], "c")  # type: ignore[call-arg]


async def people(org: Organization) -> None:
    assert_type(await org.users.find_by_email("ada@example.com"), User | None)
    assert_type(await org.users.invite(email="a@b.org", first_name="A", last_name="B", role="light", message="x"), User)
    assert_type(await org.users.update(1001, phone="+15550000"), User)
    assert_type(await org.users.list_minimal(), Page[models.UserSummary])
    assert_type(await org.users.custom_fields.set(1001, "team", "blue"), dict[str, Any])
    assert_type(await org.guests.create(email="grace@visitors.org"), models.Guest)
    assert_type(await org.guests.tasks.list("code"), Page[Task])
    assert_type(await org.guests.tasks.get_by_code("code"), models.GuestTask)
    assert_type(await org.groups.update("g", name="Analysts"), models.Group)
    assert_type(await org.roles.list(), Page[models.Role])
    assert_type(await org.me.role(), models.Role)
    assert_type(await org.me.process_views.list(), Page[models.ProcessView])
    await org.users.disable("1001")  # type: ignore[arg-type]
    await org.guests.create()  # type: ignore[call-arg]
    await org.groups.create(name="Analysts", member=[1])  # type: ignore[call-arg]


async def small_nouns(client: TallyfyClient, org: Organization) -> None:
    assert_type(await org.tags.attach("t", subject_id="c", subject_type="Checklist"), models.TagAssociation)
    assert_type(await org.folders.add_object("f", subject_id="r", subject_type="Run"), models.FolderObject)
    assert_type(await org.folders.find_by_name("Open"), models.Folder | None)
    assert_type(await org.threads.list_of_task("t"), tuple[models.Comment, ...])
    assert_type(await org.threads.comment_on_task("t", "Done?"), models.Comment)
    assert_type(await org.webhooks.list_watchers(), Page[models.Watcher])
    assert_type(await org.activity.list(verb="updated"), Page[models.ActivityFeedItem])
    assert_type(await org.custom_fields.list(), Page[models.CustomFieldKey])
    assert_type(await org.search.list("ada", "process"), Page[models.ProcessHit])
    assert_type((await org.search.query("ada")).task, Page[models.TaskHit])
    assert_type(await org.billing.get_account(), models.BillingAccount)
    assert_type(await org.micro.create_task(name="Call", deadline=date(2026, 12, 1)), models.MicroTask)
    assert_type(await client.utils.list_countries(), Page[models.Country])
    await org.search.list("ada", "process", per_paeg=5)  # type: ignore[call-overload]
    await org.folders.remove_object("7")  # type: ignore[arg-type]


async def files(org: Organization, pieces: AsyncIterator[bytes]) -> None:
    place: models.FileUpload = {"subject_type": "Run", "subject_id": "r", "uploaded_from": "comments"}
    assert_type(await org.files.upload("notes.pdf", **place), models.Asset)
    assert_type(await org.files.upload(pieces, filename="notes.pdf", **place), models.Asset)
    assert_type(await org.files.attach("r", "t", "f", b"x", filename="notes.txt"), Task)
    async with org.files.download("a", max_bytes=10_000) as file:
        assert_type(await anext(file), bytes)
        assert_type(await file.save("notes.pdf"), Path)
    await org.files.upload(5, **place)  # type: ignore[arg-type]
    await org.files.attach("r", "t", b"x")  # type: ignore[call-arg, arg-type]


def owners(task: Task) -> None:
    if task.owners is not None:
        assert_type(task.owners.as_input(), OwnersInput)
    task.owners.as_input()  # type: ignore[union-attr]


class Follower(CallHooks):
    """Overrides of every hook of a call."""

    def on_send(self, attempt: int) -> dict[str, str]:
        assert_type(attempt, int)
        return {}

    def on_attempt(self, record: AttemptRecord) -> None:
        assert_type(record.server_port, int | None)

    def on_end(self, error: BaseException | None) -> None:
        assert_type(error, BaseException | None)


class Watcher(Hooks):
    """Overrides of every hook."""

    def on_call(self, record: CallRecord) -> CallHooks:
        assert_type(record.server_port, int)
        return Follower()

    def on_attempt(self, record: AttemptRecord) -> None:
        assert_type(record.status, int | None)
        assert_type(record.retry_in, float | None)

    async def on_token(self, record: TokenRecord) -> None:
        assert_type(record.generation, int)

    def on_auth_failure(self, error: Exception) -> None:
        assert_type(error, Exception)


def hooks_and_clocks() -> None:
    TallyfyClient("t", hooks=[Watcher(), LoggingHooks(), OpenTelemetryHooks(propagate=False)])
    clocks: list[Clock] = [SystemClock(), ManualClock()]
    TallyfyClient("t", clock=clocks[0])
    TallyfyClient("t", hooks=[print])  # type: ignore[list-item]


def errors(error: APIError | ConfigurationError) -> None:
    if isinstance(error, ValidationError):
        assert_type(error.fields, dict[str, list[str]])
    elif isinstance(error, RateLimitError):
        assert_type(error.retry_after, float | None)
    elif isinstance(error, APIError):
        assert_type(error.status, int)
        assert_type(error.code, str | None)
    else:
        value_error: ValueError = error
        raise value_error


def small_things(error: TallyfyError) -> Unset:
    assert_type(error.outcome, Outcome | None)
    assert_type(error.twin(), TallyfyError)
    assert_type(operations(), tuple[Operation, ...])
    assert_type(Secret("s").reveal(), str)
    RetryPolicy(attempts="4")  # type: ignore[arg-type]
    RequestOptions(timeout=5, retry=RetryPolicy(), headers={"X-Trace": "1"}, query={"with": "x"})
    RequestOptions(5)  # type: ignore[call-arg]
    return UNSET
