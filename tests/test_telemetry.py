from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import structlog

from tallyfy_async import DecodeError, Secret, TallyfyClient
from tallyfy_async.protocol.redaction import MASK, redact_value
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.telemetry import LoggingHooks, RedactedError, RedactingFilter, redact_event

BEARER = "Bearer abcdefghijklmnop"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def attach(stream: io.StringIO) -> Iterator[Callable[[logging.Formatter], logging.Logger]]:
    """Give the package's and a foreign logger a handler that redacts and writes to ``stream``."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    loggers = [logging.getLogger("tallyfy_async"), logging.getLogger("somebody")]
    levels = [one.level for one in loggers]

    def attach(formatter: logging.Formatter) -> logging.Logger:
        handler.setFormatter(formatter)
        for one in loggers:
            one.addHandler(handler)
            one.setLevel(logging.DEBUG)
        return loggers[1]

    yield attach
    for one, level in zip(loggers, levels, strict=True):
        one.removeHandler(handler)
        one.setLevel(level)


class Login(NamedTuple):
    user: str
    password: str


def fail(why: str) -> None:
    raise ValueError(why)


class Fields(logging.Formatter):
    """Writes what a record carries as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        known = vars(logging.makeLogRecord({})).keys() | {"message"}
        return json.dumps({"text": text, **{n: v for n, v in vars(record).items() if n not in known}}, default=repr)


def test_the_filter_masks_message_fields_and_traceback(
    attach: Callable[..., logging.Logger], stream: io.StringIO
) -> None:
    log = attach(Fields("%(message)s"))
    extra = {"password": "hunter2", "user": "ada", "headers": {"Authorization": BEARER, "Accept": "x"}, "tries": 3}
    try:
        fail(f"no good: {BEARER}")
    except ValueError:
        log.exception("sent %s", BEARER, extra=extra, stack_info=True)
    told = json.loads(stream.getvalue())
    assert "abcdefghijklmnop" not in stream.getvalue()
    assert told["text"].startswith(f"sent Bearer {MASK}\nTraceback")
    assert f"ValueError: no good: Bearer {MASK}" in told["text"]
    assert "Stack (most recent call last)" in told["text"]
    assert {name: told[name] for name in extra} == {
        "password": MASK,
        "user": "ada",
        "headers": {"Authorization": MASK, "Accept": "x"},
        "tries": 3,
    }


def test_what_another_handler_wrote_into_the_record_is_masked_too(
    attach: Callable[..., logging.Logger], stream: io.StringIO
) -> None:
    log = attach(logging.Formatter("%(message)s"))
    first = logging.StreamHandler(io.StringIO())
    log.handlers.insert(0, first)
    try:
        fail(BEARER)
    except ValueError:
        log.exception("no good")
    finally:
        log.removeHandler(first)
    assert "abcdefghijklmnop" in first.stream.getvalue()
    assert stream.getvalue().startswith("no good\nTraceback")
    assert f"ValueError: Bearer {MASK}" in stream.getvalue()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before Python 3.12 a filter can only change the record itself")
def test_handlers_that_come_later_see_the_record_as_it_was(attach: Callable[..., logging.Logger]) -> None:
    log = attach(logging.Formatter("%(message)s"))
    last = logging.StreamHandler(io.StringIO())
    log.addHandler(last)
    try:
        fail(BEARER)
    except ValueError:
        log.exception("sent %s", BEARER, extra={"password": "hunter2"})
    finally:
        log.removeHandler(last)
    assert last.stream.getvalue().count("abcdefghijklmnop") == 2


class Naked(logging.Formatter):
    """Renders exceptions itself, as formatters that write JSON do."""

    def format(self, record: logging.LogRecord) -> str:
        told = self.formatException(record.exc_info) if record.exc_info else ""
        return json.dumps({"text": record.getMessage(), "exception": told})


def test_formatters_that_render_exceptions_themselves_see_none(
    attach: Callable[..., logging.Logger], stream: io.StringIO
) -> None:
    log = attach(Naked())
    try:
        fail(BEARER)
    except ValueError:
        log.exception("no good")
    told = json.loads(stream.getvalue())["exception"]
    assert told.startswith("tallyfy_async.telemetry.RedactedError: Traceback")
    assert told.endswith(f"ValueError: Bearer {MASK}")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("Bearer of no text")


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        ("%d of %s", (BEARER,), "%d of %s (its arguments do not fit)"),
        (f"{BEARER} %s %s", (1,), f"Bearer {MASK} %s %s (its arguments do not fit)"),
        ("%s", (Unprintable(),), "%s (its arguments do not fit)"),
        (Unprintable(), (), "Unprintable (its arguments do not fit)"),
        ("%(user)s has %(password)s", ({"user": "ada", "password": "hunter2"},), f"ada has {MASK}"),
        (ValueError(BEARER), (), f"Bearer {MASK}"),
    ],
)
def test_no_log_call_fails_by_the_filter(
    attach: Callable[..., logging.Logger],
    stream: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    *,
    message: Any,
    arguments: tuple[Any, ...],
    shown: str,
) -> None:
    log = attach(logging.Formatter("%(message)s"))
    monkeypatch.setattr(log, "propagate", False)  # pytest's own handler does fail
    log.info(message, *arguments)
    assert stream.getvalue() == f"{shown}\n"


def test_exceptions_in_fields_are_shown_without_secrets(
    attach: Callable[..., logging.Logger], stream: io.StringIO
) -> None:
    attach(Fields("%(message)s")).info("x", extra={"cause": ValueError(BEARER)})
    assert json.loads(stream.getvalue())["cause"] == f"ValueError('Bearer {MASK}')"


RENDERERS: dict[str, list[Any]] = {
    "text": [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)],
    "with variables": [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)],
    "console": [structlog.dev.ConsoleRenderer(colors=False)],
}


@pytest.mark.parametrize("kind", RENDERERS)
@pytest.mark.parametrize("sender", ["structlog", "logging"])
def test_tracebacks_that_structlog_renders_show_no_secret(
    attach: Callable[..., logging.Logger], stream: io.StringIO, kind: str, sender: str
) -> None:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    log = attach(structlog.stdlib.ProcessorFormatter(processors=[remove, *RENDERERS[kind]]))
    told: Any = log
    if sender == "structlog":
        into = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        told = structlog.wrap_logger(log, wrapper_class=structlog.stdlib.BoundLogger, processors=[into])
    for given in (True, ValueError(BEARER)):
        try:
            fail(BEARER)
        except ValueError:
            told.error("no good", exc_info=given)
    assert "abcdefghijklmnop" not in stream.getvalue()
    assert stream.getvalue().count(f"ValueError: Bearer {MASK}") == 2
    assert stream.getvalue().count("no good") == 2


def through_structlog() -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )


def test_the_filter_leaves_structlog_its_events(attach: Callable[..., logging.Logger], stream: io.StringIO) -> None:
    attach(through_structlog())
    log = structlog.wrap_logger(
        logging.getLogger("somebody"),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    )
    log.warning("login", client_secret="s3cr3t", header=BEARER, nested=[{"code": "def502"}, "password=x"], count=2)
    assert json.loads(stream.getvalue()) == {
        "event": "login",
        "level": "warning",
        "client_secret": MASK,
        "header": f"Bearer {MASK}",
        "nested": [{"code": MASK}, f"password={MASK}"],
        "count": 2,
    }


@pytest.mark.anyio
async def test_the_package_s_records_come_through_structlog_with_their_fields(
    attach: Callable[..., logging.Logger], stream: io.StringIO, tallyfy_client: TallyfyClient, tallyfy_sandbox: Sandbox
) -> None:
    attach(through_structlog())
    tallyfy_sandbox.faults.add(Fault(operation="get_me", status=503))
    await tallyfy_client.with_options(hooks=[LoggingHooks()]).me.get()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(one["operation"], one["attempt"], one["status"], one["request_id"]) for one in told] == [
        ("create_token", 1, 200, "sandbox-00000001"),
        ("get_me", 1, 503, "sandbox-00000002"),
        ("get_me", 1, 503, "sandbox-00000002"),
        ("get_me", 2, 200, "sandbox-00000003"),
    ]
    assert told[1]["event"].startswith("get_me: attempt 1 failed (GET /me -> 503: ")
    assert told[2]["event"] == "get_me: GET /me, attempt 1 -> 503 in 0.000 s"
    assert told[1]["retry_in"] == told[2]["retry_in"] > 0
    assert (told[2]["error"], told[3]["error"]) == ("ServerError", None)


@pytest.mark.anyio
async def test_a_reply_that_cannot_be_used_is_no_success_in_the_log(
    tallyfy_client: TallyfyClient, tallyfy_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    tallyfy_sandbox.faults.add(Fault(operation="get_me", body="<html>"))
    with caplog.at_level(logging.DEBUG, "tallyfy_async"), pytest.raises(DecodeError):
        await tallyfy_client.with_options(hooks=[LoggingHooks()]).me.get()
    assert caplog.messages[-1] == "get_me: GET /me, attempt 1 -> 200, DecodeError in 0.000 s"


@pytest.mark.anyio
async def test_attempts_are_not_logged_above_debug(
    tallyfy_client: TallyfyClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tallyfy_async"):
        await tallyfy_client.with_options(hooks=[LoggingHooks()]).me.get()
    assert not caplog.records


def test_the_processor_masks_events() -> None:
    captured: list[Any] = []

    def last(_logger: Any, _method: str, event: Any) -> Any:
        captured.append(dict(event))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[structlog.processors.format_exc_info, redact_event, last])
    try:
        fail(BEARER)
    except ValueError:
        log.exception("it said Bearer abcdefghijklmnop", refresh_token="def502", org="f1e2")
    (event,) = captured
    assert (event["event"], event["refresh_token"], event["org"]) == (f"it said Bearer {MASK}", MASK, "f1e2")
    assert event["exception"].endswith(f"ValueError: Bearer {MASK}")


def test_the_processor_leaves_no_exception_to_the_renderer() -> None:
    try:
        fail(BEARER)
    except ValueError as error:
        for given in (True, 1, error, (type(error), error, error.__traceback__)):
            told = redact_event(None, "error", {"event": "x", "exc_info": given, "cause": error})
            kind, stand_in, traceback = told["exc_info"]
            assert (kind, traceback) == (RedactedError, None)
            assert str(stand_in).endswith(f"ValueError: Bearer {MASK}")
            assert told["cause"] == f"ValueError('Bearer {MASK}')"
            assert redact_event(None, "error", {**told})["exc_info"] == told["exc_info"]
    for nothing in (None, False, True, (None, None, None)):
        assert not any(redact_event(None, "error", {"exc_info": nothing})["exc_info"] or ())


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("access_token", "abc", MASK),
        ("X-Api-Key", "abc", MASK),
        ("client_secret", b"abc", MASK),
        ("token", ["abc", None], [MASK, None]),
        ("password", {"value": "abc", "length": 3}, {"value": MASK, "length": 3}),
        ("code", "RATE_LIMIT_EXCEEDED", "RATE_LIMIT_EXCEEDED"),
        ("code", "def502", MASK),
        ("code", 404, 404),
        ("Code", None, None),
        ("anything", ("token=abc", 1), (f"token={MASK}", 1)),
        ("anything", b"abc", b"abc"),
        ("anything", {1: {"password": "x"}}, {1: {"password": MASK}}),
        ("", "plain", "plain"),
        ("anything", MappingProxyType({"password": "x"}), {"password": MASK}),
        ("anything", Login("ada", "x"), {"user": "ada", "password": MASK}),
        ("anything", {"password=abc"}, [f"password={MASK}"]),
        ("anything", {frozenset({"password=abc"})}, [[f"password={MASK}"]]),
    ],
)
def test_values_are_masked_by_name_and_by_place(name: str, value: Any, shown: Any) -> None:
    assert redact_value(value, name) == shown


def test_what_holds_itself_or_is_nested_very_deeply_ends() -> None:
    loop: dict[str, Any] = {"password": "x"}
    loop["loop"] = [loop]
    assert redact_value(loop) == {"password": MASK, "loop": [MASK]}
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert str(redact_value(deep)).strip("[]") == repr(MASK)


class RudeError(Exception):
    """Says no when it is looked at."""

    def __repr__(self) -> str:
        raise ValueError("secret")


class RudeMapping(dict[str, str]):
    def items(self) -> Any:
        raise ValueError("secret")


@pytest.mark.parametrize("value", [RudeError(), RudeMapping(a="b")])
def test_the_filter_never_raises(
    value: object, attach: Callable[[logging.Formatter], logging.Logger], stream: io.StringIO
) -> None:
    attach(Fields()).info("hello", extra={"given": value})
    told = json.loads(stream.getvalue())
    assert (told["text"], told["given"]) == ("hello", f"<{type(value).__name__}>")


def test_secrets_and_other_objects_are_left_alone() -> None:
    secret = Secret("abc")
    assert redact_value(secret, "password") is secret
    assert redact_event(None, "info", {"_record": "password=abc"}) == {"_record": "password=abc"}
