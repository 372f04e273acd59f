"""Form fields: their definitions, and what was answered.

``field_type`` is one of text, textarea, radio, dropdown, multiselect, date, email, file, table and assignees_form
(contract: FieldType); a new word is no error.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Required, TypedDict, cast, get_type_hints

from attrs import frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId


class OptionInput(TypedDict, total=False):
    """One choice of a radio, dropdown or multiselect field. Runs store the ids: do not renumber them."""

    id: Required[int]
    """A number: the server refuses a text."""
    text: Required[str]
    value: Any
    description: str | None
    required: bool


class ColumnInput(TypedDict):
    """One column of a table field."""

    id: int
    label: str


class _FieldInput(TypedDict, total=False):
    guidance: str | None
    options: Iterable[OptionInput]
    """All of them, for radio (at least two), dropdown and multiselect."""
    columns: Iterable[ColumnInput]
    """All of them, for tables."""
    default_value_enabled: bool
    default_value: Any
    """Does nothing on table, file and assignees_form."""
    collect_time: bool
    use_wysiwyg_editor: bool
    field_validation: Iterable[Any] | Mapping[str, Any] | None
    """Rules for text: numeric, email, url, alpha, alpha_num, alpha_dash."""
    prefix: str | None
    suffix: str | None
    settings: Mapping[str, Any] | None
    list: Any
    """Reference to an organization list that feeds the choices in place of ``options``."""


class CaptureCreate(_FieldInput, total=False):
    """The whole definition of a form field of a step (contract: CaptureCreate, CaptureUpdate)."""

    label: Required[str]
    field_type: Required[str]
    """text, textarea, radio, dropdown, multiselect, date, email, file, table or assignees_form."""
    required: Required[bool]
    position: int
    """From 1 to 9999."""


class CaptureUpdate(_FieldInput, total=False):
    """What an update changes on a form field; the rest is read first and sent again."""

    label: str
    field_type: str
    required: bool
    position: int
    """From 1 to 9999."""


class PrerunCreate(_FieldInput, total=False):
    """The whole definition of a kick-off field that is new; its position is its place in the form."""

    label: Required[str]
    field_type: Required[str]
    required: Required[bool]


class PrerunInput(PrerunCreate, total=False):
    """The whole definition of a kick-off field (contract: PrerunInput); its position is its place in the form."""

    id: str
    """Of a field that exists; without it, the field is a new one."""
    value: Iterable[Mapping[str, Any]] | None
    """Uploaded files, for a file field."""


class PrerunUpdate(_FieldInput, total=False):
    """What an update changes on a kick-off field; the rest is read first and sent again."""

    label: str
    field_type: str
    required: bool


_OPTION_KEYS = OptionInput.__annotations__.keys()
_COLUMN_KEYS = ColumnInput.__annotations__.keys()
_NEEDED = {"label", "field_type", "required"}


def _definition(model: "Capture | Prerun", keys: Iterable[str]) -> dict[str, Any]:
    """Return a field as writes take it: without what only replies have, and without empty lists."""
    read = model.to_dict()
    if missing := sorted(_NEEDED - read.keys()):
        msg = f"this form field was read without {', '.join(missing)}, which a write needs: pass the whole definition"
        raise ConfigurationError(msg)
    kept = {key: read[key] for key in keys if key in read and read[key] != []}
    for name, known in (("options", _OPTION_KEYS), ("columns", _COLUMN_KEYS)):
        if name in kept:
            kept[name] = [{key: one[key] for key in one if key in known} for one in kept[name]]
    return kept


@frozen(kw_only=True, repr=False)
class FieldOption(Model):
    """Describe one choice of a radio, dropdown or multiselect field; old payloads lack ``text``."""

    id: MemberId | None = None
    text: str | None = None
    """Visible choice text."""
    value: Any = None
    """Normally None."""
    description: str | None = None
    required: bool | None = None
    """Seen in multiselect values copied from definitions."""
    selected: bool | None = None


@frozen(kw_only=True, repr=False)
class FieldColumn(Model):
    """Describe one column of a table field."""

    id: MemberId | None = None
    label: str | None = None


@frozen(kw_only=True, repr=False)
class Capture(Model):
    """Define a form field of a step (contract: Capture)."""

    id: Id
    """Timeline id: the key of ``taskdata``."""
    step_id: Id | None = None
    alias: str | None = None
    """Generated from the first label, frozen afterwards; usable in {{variables}}."""
    field_type: str | None = None
    label: str | None = None
    """Question shown to the user."""
    guidance: str | None = None
    """Help text under the label; there is no description key."""
    position: int | None = None
    """1-based order."""
    required: bool | None = None
    """Mandatory flag; on writes the key must be present even when false."""
    options: tuple[FieldOption, ...] | None = None
    """Radio, dropdown, multiselect only."""
    columns: tuple[FieldColumn, ...] | None = None
    """Table only."""
    default_value_enabled: bool | None = None
    default_value: Any = None
    """Shape follows field_type; not supported for table, file and assignees_form."""
    collect_time: bool | None = None
    """Date only: also ask the time."""
    use_wysiwyg_editor: bool | None = None
    """Textarea only: rich text editor."""
    field_validation: tuple[Any, ...] | dict[str, Any] | None = None
    """Rules for text: numeric, email, url, alpha, alpha_num, alpha_dash, plus minimum/maximum length."""
    prefix: str | None = None
    suffix: str | None = None
    settings: dict[str, Any] | None = None
    """Free-form per-type settings, e.g. the must-all-checked rule of a multiselect and default-to-guest of a kick-
    off assignee picker."""
    list: Any = None
    """Reference to an organization list that feeds the choices; then options may be absent."""
    created_at: datetime | None = None
    last_updated: datetime | None = None
    archived_at: datetime | None = None
    custom_fields: dict[str, Any] | None = None

    def as_input(self) -> CaptureCreate:
        """Return the definition as ``replace`` and ``create`` take it.

        Raises ConfigurationError where the reply lacked label, field_type or required.
        """
        return cast("CaptureCreate", _definition(self, get_type_hints(CaptureCreate)))


@frozen(kw_only=True, repr=False)
class Prerun(Model):
    """Define a kick-off field of a template (contract: Prerun); its keys mean what those of a Capture mean."""

    id: Id
    """Timeline id: the key of ``prerun`` at launch."""
    checklist_id: Id | None = None
    alias: str | None = None
    """Readable slug; never valid as a launch key."""
    field_type: str | None = None
    label: str | None = None
    guidance: str | None = None
    position: int | None = None
    required: bool | None = None
    options: tuple[FieldOption, ...] | None = None
    columns: tuple[FieldColumn, ...] | None = None
    default_value_enabled: bool | None = None
    default_value: Any = None
    collect_time: bool | None = None
    use_wysiwyg_editor: bool | None = None
    field_validation: tuple[Any, ...] | dict[str, Any] | None = None
    prefix: str | None = None
    suffix: str | None = None
    settings: dict[str, Any] | None = None
    list: Any = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    archived_at: datetime | None = None
    custom_fields: dict[str, Any] | None = None

    def as_input(self) -> PrerunInput:
        """Return the definition as ``checklists.preruns.replace`` takes it, with its id.

        Raises ConfigurationError where the reply lacked label, field_type or required.
        """
        return cast("PrerunInput", _definition(self, get_type_hints(PrerunInput)))


@frozen(kw_only=True, repr=False)
class FormField(Model):
    """Describe a form field of a task or kick-off form with its answer (contract: TaskFormField)."""

    id: Id
    """Timeline id: the key of ``taskdata`` and ``prerun``."""
    alias: str | None = None
    label: str | None = None
    field_type: str | None = None
    guidance: str | None = None
    position: int | None = None
    required: bool | None = None
    options: tuple[FieldOption, ...] | None = None
    columns: tuple[FieldColumn, ...] | None = None
    field_value: Any = None
    """The answer; the shape follows ``field_type``."""
    value: Any = None
    """The answer under the name that a documented sample uses."""
    unique_id: Any = None
    """Always null: capture-value ids are not exposed."""
    task_id: Id | None = None
    """In GET /runs/{run_id}/form-fields: the task to write to."""
    step_id: Id | None = None
    default_value: Any = None
    default_value_enabled: bool | None = None
    collect_time: bool | None = None
    prefix: str | None = None
    suffix: str | None = None
    field_validation: Any = None
    settings: Any = None
    use_wysiwyg_editor: bool | None = None
    custom_fields: dict[str, Any] | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
