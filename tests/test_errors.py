from __future__ import annotations

import copy
import copyreg
import inspect
import pickle
import re
from typing import Any

import pytest

import tallyfy_async
from tallyfy_async import errors
from tallyfy_async.errors import Outcome, TallyfyError

API: dict[str, Any] = {
    "status": 422,
    "code": "X",
    "request_id": "r-1",
    "method": "POST",
    "path": "/organizations/{org}/runs",
    "body": {"a": [1]},
}
DETAILS: dict[str, dict[str, Any]] = {
    "SeatPoolExhaustedError": {"pool_type": "full"},
    "ValidationError": {"fields": {"tasks.0.title": ["too long"]}},
    "RateLimitError": {"retry_after": 2.5},
    "ServerError": {"retry_after": 1.0},
    "TokenRequestError": {"status": 400, "error": "invalid_grant", "description": "no", "retry_after": 3.0},
    "InvalidClientError": {"status": 401, "error": "invalid_client"},
    "EndpointRenamedError": {"replacement": "GET /me/organizations"},
    "EndpointRemovedError": {"replacement": None},
    "DecodeError": {"path": "data[3].name"},
    "PaginationError": {"seen": 10, "total": 12},
    "KickoffError": {"fields": {"Start": "must be a date"}},
}
NOT_SENT, REFUSED, UNKNOWN, DONE = Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNKNOWN, Outcome.DONE
OUTCOMES = {
    TallyfyError: None,
    errors.ConfigurationError: NOT_SENT,
    errors.ClientClosedError: NOT_SENT,
    errors.ClientLoopError: NOT_SENT,
    errors.TransportError: UNKNOWN,
    errors.NotSentError: NOT_SENT,
    errors.RequestTimeoutError: UNKNOWN,
    errors.IndeterminateError: UNKNOWN,
    errors.UploadSourceError: NOT_SENT,
    errors.APIError: REFUSED,
    errors.ServerError: UNKNOWN,
    errors.AuthError: NOT_SENT,
    errors.StoreError: None,
    errors.EndpointRenamedError: NOT_SENT,
    errors.EndpointRemovedError: NOT_SENT,
    errors.DecodeError: DONE,
    errors.PaginationError: None,
    errors.ExportError: None,
    errors.KickoffError: NOT_SENT,
    errors.WebhookError: None,
}


def below(kind: type[TallyfyError]) -> list[type[TallyfyError]]:
    """Return a class and all its public descendants in the package, each once."""
    found = [] if kind.__name__.startswith("_") or kind.__module__ != errors.__name__ else [kind]
    for child in kind.__subclasses__():
        found += [one for one in below(child) if one not in found]
    return found


KINDS = below(TallyfyError)
BY_NAME = {kind.__name__: kind for kind in KINDS}


def example(kind: type[TallyfyError]) -> TallyfyError:
    """Return an error of that class with every attribute set."""
    details = DETAILS.get(kind.__name__, {})
    if issubclass(kind, errors.APIError):
        details = {**API, **details}
    error = kind("what happened", **details)
    error.add_note("a note")
    return error


def same(one: TallyfyError, other: TallyfyError) -> None:
    """Assert that two errors tell the same."""
    assert type(one) is type(other)
    assert (str(one), one.args, one.outcome) == (str(other), other.args, other.outcome)
    assert vars(one) == vars(other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_pickles_with_its_attributes(kind: type[TallyfyError], protocol: int) -> None:
    error = example(kind)
    same(pickle.loads(pickle.dumps(error, protocol)), error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_copies_with_its_attributes(kind: type[TallyfyError]) -> None:
    error = example(kind)
    error.outcome = Outcome.DONE
    for twin in (copy.copy(error), copy.deepcopy(error), error.twin()):
        assert twin is not error
        same(twin, error)


def test_a_twin_has_neither_traceback_nor_cause() -> None:
    with pytest.raises(errors.ServerError) as caught:
        raise errors.ServerError("x", status=503) from ValueError("why")
    twin = caught.value.twin()
    assert caught.value.__cause__ is not None
    assert (twin.__traceback__, twin.__cause__, twin.__context__) == (None, None, None)


def test_a_twin_is_bare_whatever_is_registered_for_pickling(monkeypatch: pytest.MonkeyPatch) -> None:
    """As tblib does, and so Dask."""

    def keeping(error: Any) -> Any:
        return copy_with_cause, (error.__cause__, *error.__reduce__()[1])

    def copy_with_cause(cause: Any, kind: Any, args: Any, state: Any) -> Any:
        found = errors._rebuild(kind, args, state)
        found.__cause__ = cause
        return found

    error = errors.ServerError("x", status=503)
    error.__cause__ = ValueError("why")
    monkeypatch.setitem(copyreg.dispatch_table, errors.ServerError, keeping)
    assert copy_with_cause is keeping(error)[0]
    for twin in (error.twin(), copy.copy(error)):
        assert (type(twin), str(twin), twin.status) == (errors.ServerError, str(error), 503)
        assert twin.__cause__ is None


def test_a_twin_does_not_share_its_notes() -> None:
    error = example(errors.NotFoundError)
    twin = error.twin()
    twin.add_note("another")
    assert error.__notes__ == ["a note"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_public_and_documented(kind: type[TallyfyError]) -> None:
    assert issubclass(kind, TallyfyError)
    assert getattr(tallyfy_async, kind.__name__) is kind
    assert kind.__name__ in tallyfy_async.__all__
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_details_become_attributes_that_the_docstring_names(kind: type[TallyfyError]) -> None:
    error = example(kind)
    for name, value in DETAILS.get(kind.__name__, {}).items():
        assert getattr(error, name) == value
        documented = "".join(inspect.getdoc(parent) or "" for parent in kind.__mro__ if parent is not Exception)
        assert re.search(rf"^ *(\w+, )*{name}\b.*:|``{name}``", documented, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_knows_what_it_means_for_the_effect(kind: type[TallyfyError]) -> None:
    expected = next(OUTCOMES[parent] for parent in kind.__mro__ if parent in OUTCOMES)
    assert kind.outcome is expected


def drawn_tree() -> dict[str, str | None]:
    """Return class -> parent as the docstring of the module draws them."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^ {4}((?:[│ ]   )*)(?:[├└]── )?(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4 + (1 if "── " in line else 0)
            path = [*path[:depth], match[2]]
            parents[match[2]] = path[depth - 1] if depth else None
    return parents


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = drawn_tree()
    assert drawn.keys() == BY_NAME.keys()
    for name, parent in drawn.items():
        public = [base for base in BY_NAME[name].__mro__[1:] if base.__name__ in BY_NAME]
        assert parent == (public[0].__name__ if public else None)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.InvalidClientError, errors.ConfigurationError),
        (errors.RequestTimeoutError, TimeoutError),
    ],
)
def test_some_errors_are_builtin_ones_too(kind: type[TallyfyError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({"method": "POST", "path": "/x", "request_id": "r-1"}, "POST /x -> 422: no (r-1)"),
        ({"method": "POST", "path": "/x"}, "POST /x -> 422: no"),
        ({"request_id": "r-1"}, "422: no (r-1)"),
        ({}, "422: no"),
    ],
)
def test_an_api_error_reads_as_one_line(details: dict[str, str], text: str) -> None:
    assert str(errors.APIError("no", status=422, **details)) == text  # type: ignore[arg-type]


def test_one_error_may_know_better_than_its_class() -> None:
    assert errors.TransportError("x", outcome=Outcome.NOT_SENT).outcome is Outcome.NOT_SENT
    assert errors.TransportError("x").outcome is Outcome.UNKNOWN
    assert errors.TransportError.outcome is Outcome.UNKNOWN


def test_fields_are_copied() -> None:
    given = {"name": ("a", "b")}
    error = errors.ValidationError("no", status=422, fields=given)
    assert error.fields == {"name": ["a", "b"]}
    assert errors.ValidationError("no", status=422).fields == {}
    assert errors.KickoffError("no").fields == {}
