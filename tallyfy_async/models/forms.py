"""Kick-off forms and task forms: answers by label, alias or id into what the server takes, and back.

Everything that is wrong with a set of answers is told at once, before anything is sent, because the server drops
answers under unknown keys without a word and tells of wrong ones one by one (process notes of the contract, section 5).
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError, KickoffError
from tallyfy_async.models import form_values
from tallyfy_async.models.fields import FormField
from tallyfy_async.models.form_names import UnfitError, advice, listed, named
from tallyfy_async.models.form_parts import Definition
from tallyfy_async.models.form_scalars import is_list, is_map
from tallyfy_async.models.form_texts import from_text
from tallyfy_async.models.processes import Task
from tallyfy_async.models.templates import Checklist, Step


@frozen(kw_only=True)
class KickoffAnswers:
    """A kick-off form that was filled in, ready for ``runs.launch(kickoff=…)``.

    Attributes:
        checklist_id: the template that it belongs to.
        prerun: field id -> value to send.

    """

    checklist_id: str
    prerun: Mapping[str, Any]


@frozen(kw_only=True)
class TaskAnswers:
    """A task's form that was filled in, ready for ``tasks.update(values=…)``.

    Attributes:
        task_id: the task that it belongs to, None where the form came from a step.
        taskdata: field id -> value to send.

    """

    task_id: str | None
    taskdata: Mapping[str, Any]


def _names(definition: Definition) -> tuple[str, ...]:
    return tuple(name for name in (definition.label, definition.alias) if name)


@define
class _Filling:
    """Answers on their way into a form, and what is wrong with them."""

    answers: dict[str, Any] = field(factory=dict[str, Any])
    keys: dict[str, str] = field(factory=dict[str, str])
    problems: dict[str, str] = field(factory=dict[str, str])

    def refuse(self, key: str, problem: str) -> None:
        told = self.problems.get(key)
        self.problems[key] = problem if told is None else f"{told}; {problem}"

    def put(self, key: str, definition: Definition, value: Any) -> None:
        if definition.id in self.keys:
            self.refuse(key, f"is answered twice: also as {self.keys[definition.id]!r}")
            return
        self.keys[definition.id] = key
        try:
            self.answers[definition.id] = form_values.encode(definition, value)
        except UnfitError as error:
            self.refuse(key, error.problem)

    def check(self, what: str) -> None:
        if self.problems:
            told = "; ".join(f"{key}: {problem}" for key, problem in self.problems.items())
            raise KickoffError(f"{what}: {told}", fields=self.problems)


@frozen(kw_only=True)
class Form:
    """The fields of a form, and what can be done with answers to them.

    Attributes:
        fields: the definitions in the form's order, without archived ones.

    """

    fields: tuple[Definition, ...]
    _what: ClassVar[str] = "the form is not filled in rightly"
    _shown: Mapping[str, str] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        shown = {definition.id: self._name(definition) for definition in self.fields}
        object.__setattr__(self, "_shown", shown)

    @property
    def names(self) -> tuple[str, ...]:
        """What each field is called here: its label, or its alias or id where the label does not tell it apart."""
        return tuple(self._shown.values())

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that must be answered."""
        return tuple(self._shown[definition.id] for definition in self.fields if definition.required)

    def field(self, key: str) -> Definition:
        """Return the definition of a field by label, alias or id; raise KickoffError where none or several fit."""
        try:
            return self._find(key)
        except UnfitError as error:
            raise KickoffError(f"{key}: {error.problem}", fields={key: error.problem}) from None

    def encode(self, values: Mapping[str, Any], *, complete: bool = False) -> dict[str, Any]:
        """Return answers by label, alias or id as field id -> value to send.

        Labels and aliases count exactly or, where none fits, up to case and blanks. Values are Python's: text, numbers
        and booleans for texts; an aware datetime, a date (its first second in UTC) or ISO text for dates; the text or
        the id of an option, or a list of them; rows ``{column: cell}`` for tables; members' ids, guests' addresses and
        groups' ids, or owners, for assignees; assets, mappings or web addresses for files. None and what is empty
        clears a field, except a table. ``complete`` also asks for an answer to every required field.

        Raises KickoffError that names every problem: unknown, ambiguous and doubled keys, values that do not fit, and
        required fields without answer.
        """
        filling = self._fill(values)
        if complete:
            for definition in self._without(filling.answers):
                filling.refuse(self._shown[definition.id], "is required")
        filling.check(self._what)
        return filling.answers

    def parse(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Return answers that are all text, such as the cells of a CSV file, as values for :meth:`encode`.

        Several values of one field are separated by semicolons or lines, or are JSON; people are members' ids, guests'
        addresses and groups' ids. Blank texts are left out. Raises nothing: encoding tells what is wrong.
        """
        return {key: self._parsed(key, text) for key, text in texts.items() if text.strip()}

    def _parsed(self, key: str, text: str) -> Any:
        try:
            return from_text(self._find(key), text)
        except UnfitError:
            return text

    def decode(self, answers: Any) -> dict[str, Any]:
        """Return stored answers, such as ``run.prerun`` or ``task.taskdata``, as field name -> Python value.

        Dates become datetimes, dropdowns the text of the option, multiselects the list of the chosen texts, tables
        rows ``{column: cell}``. Answers to fields that the form does not have stay as they are, under their ids. Never
        raises for what the server stored.
        """
        known = {definition.id: definition for definition in self.fields}
        return {
            self._shown.get(key, key): form_values.decode(known[key], value) if key in known else value
            for key, value in _stored(answers).items()
        }

    def _fill(self, values: Mapping[str, Any]) -> _Filling:
        if not is_map(values):
            msg = f"answers must be a mapping such as {{label: value}}, not {type(values).__name__}"
            raise ConfigurationError(msg)
        filling = _Filling()
        for key, value in values.items():
            try:
                filling.put(str(key), self._find(key), value)
            except UnfitError as error:
                filling.refuse(str(key), error.problem)
        return filling

    def _find(self, key: Any) -> Definition:
        if not isinstance(key, str):
            raise UnfitError(f"a key must be a label, an alias or an id as text, not {type(key).__name__}")
        found = self._matching(key)
        if not found:
            raise UnfitError(f"is no field of the form: {advice(key, self.names)}")
        if len(found) > 1:
            raise UnfitError(f"is the name of {len(found)} fields: use {listed(self._shown[one.id] for one in found)}")
        return found[0]

    def _matching(self, key: str) -> list[Definition]:
        return [one for one in self.fields if one.id == key] or named(key, self.fields, _names)

    def _name(self, definition: Definition) -> str:
        ours = [name for name in _names(definition) if self._matching(name) == [definition]]
        return ours[0] if ours else definition.id

    def _without(self, answers: Mapping[str, Any]) -> list[Definition]:
        return [one for one in self.fields if one.required and form_values.is_blank(answers.get(one.id))]


def _stored(answers: Any) -> dict[str, Any]:
    """Read a map of answers, PHP's empty list, or the list of fields of replies of 2020."""
    if is_map(answers):
        return {str(key): value for key, value in answers.items()}
    entries = answers if is_list(answers) else ()
    return {one.id: _answer(one) for one in entries if isinstance(one, FormField)}


def _answer(one: FormField) -> Any:
    return one.value if one.field_value is None else one.field_value


def _live(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """Return each field once, in its order, without archived ones."""
    first = {one.id: one for one in reversed([*definitions])}
    live = [one for one in reversed(first.values()) if not getattr(one, "archived_at", None)]
    return tuple(sorted(live, key=lambda one: one.position or 0))


@frozen(kw_only=True)
class KickoffForm(Form):
    """The kick-off form of a template.

    Attributes:
        checklist_id: the template.

    """

    checklist_id: str
    _what: ClassVar[str] = "the kick-off form is not filled in rightly"

    @classmethod
    def of(cls, checklist: Checklist) -> Self:
        """Return the form of a template; raise ConfigurationError where it was read without its kick-off fields."""
        if checklist.prerun is None:
            msg = "the template was read without its kick-off fields: read it alone, with checklists.get"
            raise ConfigurationError(msg)
        return cls(checklist_id=checklist.id, fields=_live(checklist.prerun))

    def encode(self, values: Mapping[str, Any], *, complete: bool = True) -> dict[str, Any]:
        """Return answers as the ``prerun`` of a launch, as :meth:`Form.encode` does; required fields are asked for.

        A required field whose default is switched on may be left out: the default is the server's business.
        """
        return super().encode(values, complete=complete)

    def fill(self, values: Mapping[str, Any]) -> KickoffAnswers:
        """Return the form filled in, for ``runs.launch(kickoff=…)``, which then reads no template.

        Raises KickoffError as :meth:`encode` does.
        """
        return KickoffAnswers(checklist_id=self.checklist_id, prerun=self.encode(values))

    def _without(self, answers: Mapping[str, Any]) -> list[Definition]:
        absent = super()._without(answers)
        return [one for one in absent if one.id in answers or not (one.default_value_enabled and one.default_value)]


@frozen(kw_only=True)
class TaskForm(Form):
    """The form of a task, or of the step of a template.

    Attributes:
        task_id: the task, None where the form is a step's.
        stored: field id -> the answer that the server holds.

    """

    task_id: str | None = None
    _what: ClassVar[str] = "the task's form is not filled in rightly"
    stored: Mapping[str, Any] = field(factory=dict[str, Any])

    @classmethod
    def of(cls, source: Task | Step) -> Self:
        """Return the form of a task read with ``with_=["form_fields"]``, or of a step.

        Raises ConfigurationError where the reply lacks the fields.
        """
        if isinstance(source, Step):
            return cls(fields=_live(_read(source.captures)))
        found = source.form_fields
        definitions = _read(found if found is not None or source.step is None else source.step.captures)
        answered = {one.id: _answer(one) for one in found or () if _answer(one) is not None}
        return cls(task_id=source.id, fields=_live(definitions), stored={**_stored(source.taskdata), **answered})

    @property
    def answers(self) -> dict[str, Any]:
        """What is answered so far, as :meth:`decode` gives it."""
        return self.decode(self.stored)

    def missing(self, values: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """Return the names of the required fields that would be without answer after ``values``.

        While there are any, the server refuses to complete the task. Raises KickoffError as :meth:`encode` does.
        """
        answers = {**self.stored, **self.encode(values or {})}
        return tuple(self._shown[definition.id] for definition in self._without(answers))

    def fill(self, values: Mapping[str, Any]) -> TaskAnswers:
        """Return the form filled in, for ``tasks.update(values=…)``, which then reads no task.

        What is not given stays as it is. Raises KickoffError as :meth:`encode` does.
        """
        return TaskAnswers(task_id=self.task_id, taskdata=self.encode(values))


def _read(definitions: Iterable[Definition] | None) -> Iterable[Definition]:
    if definitions is None:
        msg = 'this was read without its form fields: read the task with with_=["form_fields"]'
        raise ConfigurationError(msg)
    return definitions
