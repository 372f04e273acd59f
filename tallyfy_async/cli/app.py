"""The command line: what there is to call, and where it lives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

from tallyfy_async import __version__
from tallyfy_async.cli import account, checklists, doctor, export, output, runs, tasks
from tallyfy_async.cli.commands import command, fail
from tallyfy_async.cli.exits import MEANINGS, ExitCode
from tallyfy_async.cli.index import OWN
from tallyfy_async.engine.report import Problem

NAME = "tallyfy-async"
_HELP: dict[str, Any] = {"context_settings": {"help_option_names": ["--help", "-h"]}}
_AS_IS: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}
app = typer.Typer(
    name=NAME,
    help="Tallyfy from the command line. --json prints results as JSON, and nothing else on standard output.",
    epilog=MEANINGS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    **_HELP,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _shown: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _hand_over(module: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        main: Callable[[Sequence[str]], int] = import_module(module).main
        raise typer.Exit(main(context.args))

    return run


def _group(help_: str) -> typer.Typer:
    return typer.Typer(help=help_, rich_markup_mode=None, **_HELP)


def _assemble() -> None:
    command(app, "whoami")(account.whoami)
    command(app, "logout")(account.logout)
    command(app, "organizations")(account.organizations)
    command(app, "doctor")(doctor.doctor)
    command(app, "export")(export.export_organization)
    command(app, "launch", hidden=True)(runs.launch)
    for name, one in OWN.items():
        summary = f"{one.summary[0].upper()}{one.summary[1:]}."
        app.command(name, help=summary, context_settings=_AS_IS, add_help_option=False)(_hand_over(one.module))
    checklists_group, runs_group, tasks_group = (
        _group("Templates: list."),
        _group("Processes: list, launch, archive."),
        _group("List, complete and reopen tasks."),
    )
    command(checklists_group, "list")(checklists.list_checklists)
    command(runs_group, "list")(runs.list_runs)
    command(runs_group, "launch")(runs.launch)
    command(runs_group, "archive")(runs.archive)
    command(tasks_group, "list")(tasks.list_tasks)
    command(tasks_group, "complete")(tasks.complete)
    command(tasks_group, "reopen")(tasks.reopen)
    for name, group in (
        ("checklists", checklists_group),
        ("templates", checklists_group),
        ("runs", runs_group),
        ("processes", runs_group),
        ("tasks", tasks_group),
    ):
        app.add_typer(group, name=name)


_assemble()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        status = get_command(app)(args=words, prog_name=NAME, standalone_mode=not as_json)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except typer.TyperException as error:  # usage, where it is told as JSON
        return fail("", Problem(kind="UsageError", message=error.format_message()), ExitCode.USAGE, as_json=as_json)
    except OSError as error:  # of what typer itself writes, such as the help
        output.hush()
        return fail(output.told_of_system(error), error, ExitCode.FAILED, as_json=as_json)
    return int(status or 0)


if __name__ == "__main__":
    sys.exit(main())
