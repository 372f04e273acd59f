"""Which commands there are, where each lives, and what it needs. Importing this loads nothing of them."""

from __future__ import annotations

from importlib.util import find_spec

from attrs import frozen


@frozen
class Command:
    """Where a command lives, what it does, and the packages of its extra."""

    module: str
    summary: str
    needs: tuple[str, ...] = ()
    extra: str = "sandbox"

    @property
    def missing(self) -> str | None:
        """The first package that is needed and absent, None for none."""
        return next((package for package in self.needs if find_spec(package) is None), None)


def _of_app(summary: str) -> Command:
    return Command("tallyfy_async.cli.app", summary, ("typer", "rich"), "cli")


_SERVER = ("jsonschema_rs", "openapi_ui_bundles", "starlette", "uvicorn")
OWN = {
    "demo": Command(
        "tallyfy_async.cli.demo",
        "read a whole organization through expiring tokens and faults, and prove it",
        ("rich", *_SERVER),
    ),
    "sandbox": Command("tallyfy_async.sandbox.__main__", "serve a local Tallyfy", _SERVER),
    "login": Command("tallyfy_async.cli.login", "log in with a browser and keep the token"),
    "operations": Command("tallyfy_async.cli.operations", "list the API operations that the package performs"),
    "endpoints": Command("tallyfy_async.cli.endpoints", "find old endpoints and client mistakes in source trees"),
}
"""Commands that parse their own words, because they work without the extra ``cli``."""

APP = {
    "whoami": _of_app("show user, organization and token"),
    "logout": _of_app("end the login that is kept"),
    "organizations": _of_app("list the organizations that you belong to"),
    "checklists": _of_app("templates: list"),
    "templates": _of_app("the same as checklists"),
    "runs": _of_app("processes: list, launch (also from a CSV file), archive"),
    "processes": _of_app("the same as runs"),
    "tasks": _of_app("tasks: list, complete, reopen"),
    "export": _of_app("a whole organization to SQLite or NDJSON, again and again"),
    "doctor": _of_app("check versions, credentials, token, server, clock, user and organization"),
}
"""Commands of the extra ``cli``; what is in neither, such as help and completion, goes to it too."""
