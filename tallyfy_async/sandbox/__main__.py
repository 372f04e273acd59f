"""Run the sandbox as a server of its own: `python -m tallyfy_async.sandbox --port 0`."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import asdict

from .settings import Settings

if TYPE_CHECKING:
    from .faults import Profile
    from .sandbox import Sandbox

SIZES = ("organizations", "templates", "runs", "tasks", "users")
MISSING = 'the sandbox needs an extra that is not installed: pip install "tallyfy-async[sandbox]" ({name} is missing)'


class _Line(argparse.ArgumentParser):
    """Tells what is wrong with a command line as JSON where that is asked for."""

    as_json = False

    def error(self, message: str) -> NoReturn:
        if not self.as_json:
            super().error(message)
        sys.exit(self.fail("UsageError", message, 2))

    def fail(self, kind: str, message: str, status: int) -> int:
        """Tell on standard error why the server does not start; return the exit status."""
        unknown: dict[str, Any] = {"status": None, "code": None, "request_id": None, "fields": {}}
        whole: dict[str, Any] = {"error": {"kind": kind, "message": message, **unknown, "exit_status": status}}
        sys.stderr.write((json.dumps(whole) if self.as_json else message) + "\n")
        return status


def parser() -> _Line:
    """Build the command line. Flags that are settings have the settings' names and defaults."""
    defaults = Settings()
    line = _Line(prog="python -m tallyfy_async.sandbox", description="A local Tallyfy over HTTP.")
    line.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    line.add_argument("--port", type=int, default=0, help="port to listen on; 0: any free one (default)")
    line.add_argument("--seed", type=int, default=0, help="decides rows, ids and credentials (default: 0)")
    line.add_argument("--faults", choices=("none", "some", "many"), default="none", help="429, 503, cut connections")
    line.add_argument("--db", metavar="FILE", help="keep the world in this SQLite file; it is made if missing")
    line.add_argument("--json", action="store_true", help="errors as JSON too; the line on standard output is anyway")
    line.add_argument("--until-eof", action="store_true", help="end when standard input does, as with a parent process")
    for name in SIZES:
        value: int = getattr(defaults, name)
        line.add_argument(f"--{name}", type=int, default=value, help=f"{name} of the seeded world (default: {value})")
    line.add_argument("--token-life", type=float, dest="access_life", default=defaults.access_life, metavar="SECONDS")
    line.add_argument("--refresh-life", type=float, default=defaults.refresh_life, metavar="SECONDS")
    line.add_argument("--application-life", type=float, default=defaults.application_life, metavar="SECONDS")
    line.add_argument("--user-token-life", type=float, default=defaults.user_token_life, metavar="SECONDS")
    line.add_argument("--implicit-life", type=float, default=defaults.implicit_life, metavar="SECONDS")
    line.add_argument("--implicit-delivery", choices=("fragment", "query"), default=defaults.implicit_delivery)
    line.add_argument("--code-life", type=float, default=defaults.code_life, metavar="SECONDS")
    line.add_argument("--require-pkce", action="store_true", help="of every client, not only of those without a secret")
    line.add_argument("--send-iss", action="store_true", help="name the issuer in authorization responses (RFC 9207)")
    line.add_argument("--personal-life", type=float, default=defaults.personal_life, metavar="SECONDS")
    line.add_argument("--league", type=int, choices=(8, 9), default=defaults.league, help="words for dead tokens")
    line.add_argument("--encoding", dest="body_encoding", choices=("form", "json", "any"), default="form")
    line.add_argument("--client-auth", choices=("body", "headers", "any"), default="body")
    line.add_argument("--refresh-path", choices=("tokens", "cookie", "off"), default="tokens")
    line.add_argument("--missing-client-header", choices=("401", "404"), default="401")
    line.add_argument("--no-rotation", dest="rotate_refresh", action="store_false", help="refresh tokens stay valid")
    line.add_argument("--latency", type=float, default=defaults.latency, metavar="SECONDS", help="of every API reply")
    line.add_argument("--rate-limit", type=int, dest="rate_limit_per_minute", metavar="CALLS", help="a minute and user")
    line.add_argument("--validation-style", choices=("docs", "laravel"), default="docs")
    line.add_argument("--webhooks", choices=("on", "off"), default="on")
    line.add_argument("--webhook-hosts", choices=("loopback", "any"), default="loopback", help="who is posted to")
    line.add_argument("--complete-twice", choices=("ok", "error"), default="ok")
    styles = ("auto", "list", "map", "null", "missing", "prev")
    line.add_argument("--links", dest="links_style", choices=styles, default="auto")
    line.add_argument("--owners", dest="owners_style", choices=("ids", "objects"), default="ids")
    line.add_argument("--dates", dest="date_spelling", choices=("Z", "millis", "micros", "offset", "space"))
    return line


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    line, words = parser(), sys.argv[1:] if arguments is None else arguments
    line.as_json = "--json" in words
    options = vars(line.parse_args(words))
    host, port, seed, faults, db = (options.pop(name) for name in ("host", "port", "seed", "faults", "db"))
    until_eof = options.pop("until_eof")
    del options["json"]
    try:
        settings = Settings(**options)
    except ValueError as error:
        line.error(str(error))
    try:
        module = import_module("tallyfy_async.sandbox.sandbox")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "tallyfy_async":
            raise
        return line.fail("ConfigurationError", MISSING.format(name=error.name), 2)
    try:
        sandbox: Sandbox = module.Sandbox(settings, seed=seed, db=db)
        with contextlib.closing(sandbox):
            if sandbox.restored:
                _note(sandbox, db, _given(line, words))
            return _serve(sandbox, host, port, faults, until_eof=until_eof)
    except module.StorageError as error:
        return line.fail(type(error).__name__, f"{error}", 1)
    except OSError as error:
        return line.fail(type(error).__name__, f"cannot listen on {host}:{port}: {error.strerror or error}", 1)


def _given(line: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the flags of the seeding that were written out, whatever their value."""
    absent = object()
    found = vars(line.parse_args(arguments, argparse.Namespace(**dict.fromkeys(("seed", *SIZES), absent))))
    return {name: found[name] for name in ("seed", *SIZES) if found[name] is not absent}


def _note(sandbox: "Sandbox", db: str, given: dict[str, Any]) -> None:
    """Tell which flags decide nothing, since the file has a world already that was seeded otherwise."""
    has = {"seed": sandbox.seed} | {name: getattr(sandbox.settings, name) for name in SIZES}
    other = [name for name, value in given.items() if value != has[name]]
    if other:
        ignored = " ".join(f"--{name} {given[name]}" for name in other)
        truth = " ".join(f"--{name} {has[name]}" for name in other)
        sys.stderr.write(f"ignored: {ignored}; the world in {db} was made with {truth}\n")


def _serve(sandbox: "Sandbox", host: str, port: int, faults: "Profile", *, until_eof: bool) -> int:
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    sandbox.faults.profile(faults)
    with contextlib.ExitStack() as stack:
        if faults == "none":
            stack.enter_context(sandbox.serve(port, host))
            url, page = sandbox.url, sandbox.authorize_url
        else:
            # Only the proxy can cut a connection: it takes the announced address, the server a free one behind it.
            stack.enter_context(sandbox.serve())
            proxy = stack.enter_context(sandbox.proxy(port=port, host=host))
            proxy.profile(faults)
            url, page = proxy.url, proxy.authorize_url
        _announce({"url": url, **asdict(sandbox.credentials), "authorize_url": page})
        if until_eof:
            threading.Thread(target=_await_eof, args=(stop,), name="tallyfy-sandbox-stdin", daemon=True).start()
        stop.wait()
    return 0


def _await_eof(stop: threading.Event) -> None:
    """End the server with its parent, however that dies. A raw read holds no lock that an exit would wait for."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    stop.set()


def _announce(line: dict[str, Any]) -> None:
    """Print the one line of standard output; what any library prints later goes to standard error."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
