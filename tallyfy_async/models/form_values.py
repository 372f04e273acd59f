"""Answers to form fields: natural Python values into what the server's validator takes, and back.

The shapes are those of the contract's FieldValue (template notes of the contract, section 7; process notes, section 5).
Decoding never fails: what does not have the shape of its field's type is given back as it was stored.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime
from typing import Any, TypeAlias, TypeGuard

from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.models.fields import FieldOption
from tallyfy_async.models.form_names import UnfitError, advice, named
from tallyfy_async.models.form_parts import Definition, decode_files, decode_people, decode_table, files, people, table
from tallyfy_async.models.form_scalars import is_list, is_map, scalar_text
from tallyfy_async.protocol.dates import format_moment, format_request, parse_response
from tallyfy_async.protocol.writing import RefusedError, write_json

MAX_TEXT = 200
MAX_TEXTAREA = 30_000
_DAY = len("2026-12-01")
_YES_NO = {True: ("yes", "true"), False: ("no", "false")}


def is_blank(value: Any) -> bool:
    """Tell whether a value clears a field: None, an empty text, list, set or mapping; not 0 and False."""
    return value is None or (isinstance(value, str | list | tuple | AbstractSet | Mapping) and not value)


def encode(field: Definition, value: Any) -> Any:
    """Return the value to send for a field, None to clear it; raise UnfitError for a value that does not fit."""
    if is_blank(value):
        if field.field_type == "table":
            raise UnfitError("the server refuses an empty table: leave the field out")
        return None
    encoder, _ = _TYPES.get(field.field_type or "", _OTHER)
    try:
        return encoder(field, value)
    except RefusedError as error:
        raise UnfitError(f"{''.join(reversed(error.trail))} {error.message}".strip()) from None
    except RecursionError:
        raise UnfitError("is nested too deeply, or contains itself") from None


def decode(field: Definition, value: Any) -> Any:
    """Return the Python value of a stored answer, None for a field without one."""
    _, decoder = _TYPES.get(field.field_type or "", _OTHER)
    return None if is_blank(value) else decoder(field, value)


def _text(limit: int) -> Callable[[Definition, Any], str]:
    def encode_text(_field: Definition, value: Any) -> str:
        text = scalar_text(value)
        if text is None:
            raise UnfitError(f"takes a text, not {type(value).__name__}")
        if len(text) > limit:
            raise UnfitError(f"takes at most {limit} characters, not {len(text)}")
        return text

    return encode_text


def _email(_field: Definition, value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError(f"takes an e-mail address as text, not {type(value).__name__}")
    return str.__str__(value)


def _date(_field: Definition, value: Any) -> str:
    try:
        if isinstance(value, str):
            return format_request(_moment(value))
        if isinstance(value, date):
            return format_moment(value)
    except DecodeError:
        raise UnfitError("takes a moment such as '2026-12-01' or '2026-12-01 09:30:00' (UTC)") from None
    except ConfigurationError as error:
        raise UnfitError(str(error)) from None
    raise UnfitError(f"takes a datetime, a date or a text such as '2026-12-01', not {type(value).__name__}")


def _moment(text: str) -> datetime:
    text = text.strip()
    if len(text) == _DAY and text[4] == text[7] == "-":
        try:
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        except ValueError:
            pass
    return parse_response(text)


def _decode_date(_field: Definition, value: Any) -> Any:
    try:
        return _moment(value) if isinstance(value, str) else value
    except DecodeError:
        return value


def _is_option(value: Any) -> TypeGuard[FieldOption | Mapping[str, Any]]:
    return isinstance(value, FieldOption | Mapping)


def _id_and_text(value: FieldOption | Mapping[str, Any]) -> tuple[Any, Any]:
    return (value.id, value.text) if isinstance(value, FieldOption) else (value.get("id"), value.get("text"))


def option_texts(field: Definition) -> tuple[str, ...]:
    """Return the texts of a field's options, as they stand in its definition."""
    return tuple(option.text for option in field.options or () if option.text)


def _is_fed(field: Definition) -> bool:
    """Tell whether the choices come from a list of the organization, so that the definition has none."""
    return not field.options and bool(getattr(field, "list", None) or field.extra.get("list"))


def _find_option(field: Definition, value: Any) -> FieldOption:
    """Find an option by exact text, by text up to case and blanks, or by id."""
    options = [option for option in field.options or () if option.text]
    if not options:
        raise UnfitError("has no options in its definition")
    if _is_option(value):
        found, text = _by_id_and_text(options, value), str(_id_and_text(value)[1] or "")
    elif isinstance(value, bool):
        found, text = [o for word in _YES_NO[value] for o in named(word, options, _texts)][:1], _YES_NO[value][0]
    else:
        text = scalar_text(value) or ""
        if not text:
            raise UnfitError(f"takes the text of an option, not {type(value).__name__}")
        found = named(text, options, _texts) or [o for o in options if o.id is not None and str(o.id) == text.strip()]
    if not found:
        raise UnfitError(f"has no such option: {advice(text, option_texts(field))}")
    return _only(found)


def _texts(option: FieldOption) -> tuple[str, ...]:
    return (option.text,) if option.text else ()


def _by_id_and_text(options: list[FieldOption], value: FieldOption | Mapping[str, Any]) -> list[FieldOption]:
    number, text = _id_and_text(value)
    if number is None:
        return named(text, options, _texts) if isinstance(text, str) else []
    return [o for o in options if str(o.id) == str(number) and (text is None or text == o.text)]


def _only(found: list[FieldOption]) -> FieldOption:
    if len({(option.id, option.text) for option in found}) > 1:
        ids = ", ".join(str(option.id) for option in found)
        raise UnfitError(f"has several options of this text: pass one of their ids, {ids}")
    return found[0]


def _radio(field: Definition, value: Any) -> str:
    if _is_fed(field) and isinstance(value, str):
        return str.__str__(value)
    try:
        return _find_option(field, value).text or ""
    except UnfitError:
        # Options of one text are one and the same answer here, for only the text is sent.
        if isinstance(value, str) and value in option_texts(field):
            return str.__str__(value)
        raise


def _reference(field: Definition, value: Any) -> dict[str, Any]:
    """Return id and text of one option; both are needed, and the text is compared byte for byte."""
    if _is_fed(field):
        number, text = _id_and_text(value) if _is_option(value) else (None, None)
        if number is None or not isinstance(text, str):
            raise UnfitError('takes its choices from a list of the organization: pass {"id": …, "text": …}')
        return {"id": write_json(number), "text": text}
    option = _find_option(field, value)
    if option.id is None:
        raise UnfitError("has an option without id in its definition, which cannot be chosen")
    return {"id": option.id, "text": option.text}


def _multiselect(field: Definition, value: Any) -> list[dict[str, Any]] | None:
    """Return the chosen options, each once; entries that say ``selected: false`` are not chosen."""
    entries = list(value) if is_list(value) else [value]
    chosen: list[dict[str, Any]] = []
    problems: list[str] = []
    for entry in entries:
        if is_map(entry) and entry.get("selected") is False:
            continue
        try:
            reference = {**_reference(field, entry), "selected": True}
        except UnfitError as error:
            problems.append(error.problem)
        else:
            chosen += [reference] if reference not in chosen else []
    if problems:
        raise UnfitError("; ".join(dict.fromkeys(problems)))
    # A set has no order: that of the definition makes the same call send the same body.
    order = option_texts(field)
    return (sorted(chosen, key=lambda o: order.index(o["text"])) if isinstance(value, AbstractSet) else chosen) or None


def _decode_choice(field: Definition, value: Any) -> Any:
    return value if not is_map(value) else _text_of(field, value)


def _text_of(field: Definition, entry: Mapping[str, Any]) -> Any:
    if isinstance(entry.get("text"), str):
        return entry["text"]
    found = [option.text for option in field.options or () if option.text and str(option.id) == str(entry.get("id"))]
    return found[0] if found else entry


def _decode_multiselect(field: Definition, value: Any) -> Any:
    """Return the texts of the options that say ``selected``; those that do not show nowhere in the web app."""
    if not is_list(value):
        return value
    chosen = (entry for entry in value if not is_map(entry) or entry.get("selected"))
    return [_decode_choice(field, entry) for entry in chosen]


def _as_is(_field: Definition, value: Any) -> Any:
    return value


def _any(_field: Definition, value: Any) -> Any:
    return write_json(value)


_Encoder: TypeAlias = Callable[[Any, Any], Any]
_OTHER: tuple[_Encoder, _Encoder] = (_any, _as_is)
_TYPES: dict[str, tuple[_Encoder, _Encoder]] = {
    "text": (_text(MAX_TEXT), _as_is),
    "textarea": (_text(MAX_TEXTAREA), _as_is),
    "email": (_email, _as_is),
    "date": (_date, _decode_date),
    "radio": (_radio, _decode_choice),
    "dropdown": (_reference, _decode_choice),
    "multiselect": (_multiselect, _decode_multiselect),
    "table": (table, decode_table),
    "assignees_form": (people, decode_people),
    "file": (files, decode_files),
}
"""Field type -> how an answer is written and read; a word that is not here passes any JSON value."""
