"""How an asynchronous function becomes a command: common options, one client, errors as exit statuses."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import anyio
import typer

from tallyfy_async.cli import output
from tallyfy_async.cli.exits import ExitCode, NotLoggedInError, code_of
from tallyfy_async.cli.session import Options, Session
from tallyfy_async.engine.report import Problem
from tallyfy_async.errors import ConfigurationError, TallyfyError

Work: TypeAlias = Callable[..., Coroutine[Any, Any, ExitCode | None]]
"""A command: takes a Session and its own options; returns its exit status, None for OK."""

_INTERRUPTED = Problem(kind="Interrupted", message="interrupted")


def _option(name: str, metavar: str, told: str) -> Any:
    return typer.Option(name, metavar=metavar, help=told)


_COMMON: dict[str, tuple[Any, Any]] = {
    "json": (
        Annotated[bool, typer.Option("--json", help="Print the result as JSON.")],
        False,
    ),
    "organization": (
        Annotated[
            str | None,
            _option("--organization", "ID", "Default: TALLYFY_ORGANIZATION, the one of the login, or your only one."),
        ],
        None,
    ),
    "base_url": (
        Annotated[
            str | None, _option("--base-url", "URL", "Of the API. Default: that of the login, or TALLYFY_BASE_URL.")
        ],
        None,
    ),
    "directory": (
        Annotated[
            Path | None,
            _option("--directory", "PATH", "Of the login. Default: TALLYFY_DIRECTORY, or your state directory."),
        ],
        None,
    ),
}


def command(group: typer.Typer, name: str, *, hidden: bool = False) -> Callable[[Work], Work]:
    """Register an asynchronous function as a command of a group, with the options that all commands have."""

    def register(work: Work) -> Work:
        group.command(name, hidden=hidden)(_made(work))
        return work

    return register


def _made(work: Work) -> Callable[..., None]:
    @functools.wraps(work)
    def run(**given: Any) -> None:
        options = Options(**{name: given.pop(name) for name in _COMMON})
        raise typer.Exit(perform(work, options, given))

    own = [one for one in inspect.signature(work, eval_str=True).parameters.values() if one.name != "session"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    common = [
        inspect.Parameter(name, keyword, default=default, annotation=kind) for name, (kind, default) in _COMMON.items()
    ]
    parameters = [*(one.replace(kind=keyword) for one in own), *common]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    del run.__wrapped__
    return run


def perform(work: Work, options: Options, given: Mapping[str, Any]) -> ExitCode:
    """Run a command to its end; tell what went wrong on standard error, and return the exit status."""
    try:
        return anyio.run(partial(work, Session.of(options), **given)) or ExitCode.OK
    except KeyboardInterrupt:
        return fail("interrupted", _INTERRUPTED, ExitCode.INTERRUPTED, as_json=options.json)
    except TallyfyError as error:
        return fail(told(error), error, code_of(error), as_json=options.json)
    except OSError as error:
        output.hush()  # what a full disk did not take from us would be complained of once more at the end
        return fail(output.told_of_system(error), error, ExitCode.FAILED, as_json=options.json)


def fail(message: str, problem: BaseException | Problem, status: ExitCode, *, as_json: bool) -> ExitCode:
    """Tell why a command fails, as text or as JSON, and return what it ends with."""
    output.complain(message, problem, status, as_json=as_json)
    return status


def told(error: TallyfyError) -> str:
    """Return what the user is told of an error: its words, with the name of its class where these need it."""
    words = (
        str(error) if isinstance(error, ConfigurationError | NotLoggedInError) else f"{type(error).__name__}: {error}"
    )
    return "\n".join([words, *getattr(error, "__notes__", [])])
