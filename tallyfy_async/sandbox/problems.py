"""Failures of the sandbox's API and their exact bodies (identity.md section 3, processes.md section 7)."""

from collections.abc import Mapping
from typing import Any


class Problem(Exception):  # noqa: N818 - it is an answer, not an error of the program
    """Stop a handler and answer with a status and a JSON body."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = dict(body)
        self.headers = dict(headers or {})


class Invalid(Exception):  # noqa: N818 - as above
    """Stop a handler with validation errors; the application picks the documented or the Laravel form."""

    def __init__(self, errors: Mapping[str, Any]) -> None:
        super().__init__(errors)
        self.errors = dict(errors)


def unauthenticated() -> Problem:
    """Refuse a missing or dead token, a missing header, or an application token where a user is needed."""
    return Problem(401, {"error": True, "message": "Unauthenticated."})


def refused(message: str) -> Problem:
    """Refuse by business rule, with a 400."""
    return Problem(400, {"error": True, "message": message})


def forbidden(message: str) -> Problem:
    """Refuse by permission or by business rule."""
    return Problem(403, {"message": message})


def endpoint_not_found() -> Problem:
    """Say that there is no such path."""
    return Problem(404, {"error": True, "message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"})


def resource_not_found() -> Problem:
    """Say that there is no such id, or none that the caller sees."""
    return Problem(404, {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"})


def too_large() -> Problem:
    """Refuse a body that is longer than the server reads."""
    return Problem(413, {"error": True, "message": "The request entity is too large."})


def invalid(field: str, message: str) -> Invalid:
    """Say what is wrong with one field."""
    return Invalid({field: [message]})


def required(*fields: str) -> Invalid:
    """Name missing fields; Laravel prints names with blanks."""
    return Invalid({name: [f"The {name.replace('_', ' ')} field is required."] for name in fields})
