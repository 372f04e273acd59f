"""Many launches of one template: rows into launches, each with an outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeGuard

from anyio.lowlevel import checkpoint
from attrs import define, field, frozen

from tallyfy_async.engine.bulk import NO_USE, Bulk, Job, Report, State, Told, plan
from tallyfy_async.engine.report import row_of_error
from tallyfy_async.engine.tables import OURS, CSVRow
from tallyfy_async.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientScopeError,
    InvalidClientError,
    KickoffError,
    ReauthenticationRequiredError,
)
from tallyfy_async.models.forms import KickoffForm
from tallyfy_async.models.processes import Run
from tallyfy_async.resources.base import body_id
from tallyfy_async.resources.forms import launch_payload

LaunchRows: TypeAlias = Iterable[Mapping[str, Any] | CSVRow] | AsyncIterable[Mapping[str, Any] | CSVRow]

# All rows carry one credential: where it is dead, none can succeed.
_STOP_ON = (*NO_USE, AuthenticationError, InsufficientScopeError, InvalidClientError, ReauthenticationRequiredError)
OWN_COLUMNS = ("name", "summary", "owner_id", "parent_id", "tags", "folders")
"""Columns of a CSV file that are the run's; every other one is a kick-off field."""
_LISTS = frozenset({"tags", "folders"})
_MOST_TOLD = 10
_BREATH = 100


@frozen(kw_only=True)
class LaunchMany:
    """What the launches of a bulk have in common.

    Attributes:
        checklist_id: the template.
        form: its kick-off form, None to read it.
        read: reads it.
        launch: sends one launch.
        skip_invalid: whether rows that do not fit the form are written down as refused and the others launched.

    """

    checklist_id: str
    form: KickoffForm | None
    read: Callable[[], Awaitable[KickoffForm]]
    launch: Callable[[Mapping[str, Any]], Awaitable[Run]]
    skip_invalid: bool

    def __attrs_post_init__(self) -> None:
        body_id("checklist_id", self.checklist_id)
        if self.form is not None and self.form.checklist_id != self.checklist_id:
            msg = f"form is that of template {self.form.checklist_id}, not of {self.checklist_id}"
            raise ConfigurationError(msg)

    def bulk(
        self,
        rows: LaunchRows,
        *,
        concurrency: int,
        on_progress: Told | None,
        resume: Report[Run] | None,
        retry_unknown: bool,
    ) -> Bulk[Run]:
        """Return the bulk of these rows; raise ConfigurationError for arguments that are wrong."""
        if not _are_rows(rows):
            msg = "rows must be an iterable of mappings, or what bulk.read_csv returns"
            raise ConfigurationError(msg)
        return plan(
            partial(self._prepare, rows),
            concurrency=concurrency,
            on_progress=on_progress,
            resume=resume,
            retry_unknown=retry_unknown,
            stop_on=_STOP_ON,
        )

    async def _prepare(self, rows: LaunchRows, report: Report[Run]) -> list[Job[Run]]:
        """Check all rows before the first launch, with one read of the template at most."""
        given = [row async for row in rows] if isinstance(rows, AsyncIterable) else list(rows)
        form = self.form or await self.read()
        checked = _Checked()
        for number, row in enumerate(given, 1):
            if number % _BREATH == 0:  # a check of many rows must not keep others, or a cancellation, waiting
                await checkpoint()
            key, cells = str(number), row
            try:
                key, cells = _opened(row, number, form)
                payload = await launch_payload(self.checklist_id, cells, partial(_ready, form), what="row")
            except (ConfigurationError, KickoffError) as error:
                checked.refuse(key, error)
            else:
                checked.jobs.append(Job(key=key, work=partial(self.launch, payload), mark=_mark(payload)))
        if self.skip_invalid:
            checked.write_down(report)
        else:
            checked.raise_all()
        return checked.jobs


@define
class _Checked:
    jobs: list[Job[Run]] = field(factory=list[Job[Run]])
    refused: list[tuple[str, ConfigurationError | KickoffError]] = field(
        factory=list[tuple[str, ConfigurationError | KickoffError]]
    )

    def refuse(self, key: str, error: ConfigurationError | KickoffError) -> None:
        self.refused.append((key, error))

    def write_down(self, report: Report[Run]) -> None:
        """Write the refused rows into the report, but for those that landed earlier, which stay what they are."""
        for key, error in self.refused:
            earlier = report.get(key)
            if earlier is None or earlier.state not in {State.DONE, State.UNKNOWN}:
                report.put(row_of_error(key, error, None))

    def raise_all(self) -> None:
        if not self.refused:
            return
        fields = {place: told for key, error in self.refused for place, told in _places(key, error)}
        told = [f"{place}: {problem}" for place, problem in fields.items()]
        more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        msg = f"{len(self.refused)} rows cannot be launched, nothing was: {'; '.join(told[:_MOST_TOLD])}{more}"
        raise KickoffError(msg, fields=fields)


def _places(key: str, error: ConfigurationError | KickoffError) -> list[tuple[str, str]]:
    if isinstance(error, KickoffError):
        return [(f"row {key}, {name}", told) for name, told in error.fields.items()]
    return [(f"row {key}", str(error))]


async def _ready(form: KickoffForm) -> KickoffForm:
    return form


def _are_rows(rows: Any) -> bool:
    return isinstance(rows, Iterable | AsyncIterable) and not isinstance(rows, str | bytes | Mapping)


def _is_map(row: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(row, Mapping)


def _opened(row: Any, number: int, form: KickoffForm) -> tuple[str, dict[str, Any]]:
    """Return key and arguments of a row; without a key of its own it goes by its number."""
    if isinstance(row, CSVRow):
        return row.key, _of_cells(row.cells, form)
    if not _is_map(row):
        msg = f"must be a mapping such as {{'name': …, 'kickoff': {{…}}}}, not {type(row).__name__}"
        raise ConfigurationError(msg)
    fields: dict[str, Any] = {**row} if "prerun" in row else {"kickoff": {}, **row}
    key = fields.pop("key", number)
    if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
        msg = "key must be a text that is not empty"
        raise ConfigurationError(msg)
    return str(key), fields


def _of_cells(cells: Mapping[str, str], form: KickoffForm) -> dict[str, Any]:
    given = {name: text for name, text in cells.items() if text.strip() and not name.startswith(OURS) and name != "key"}
    kickoff = form.parse({name: text for name, text in given.items() if name not in OWN_COLUMNS})
    return {"kickoff": kickoff, **{name: _own(name, given[name]) for name in OWN_COLUMNS if name in given}}


def _own(name: str, text: str) -> Any:
    if name in _LISTS:
        return [part.strip() for part in text.split(";") if part.strip()]
    return int(text) if name == "owner_id" and text.strip().isdecimal() else text.strip()


def _mark(payload: Mapping[str, Any]) -> str:
    """Return what tells a launch from another one that is later given the same key."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()[:16]
