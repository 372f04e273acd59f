"""The catalogue of OAuth faults, row by row: ``python -m tests.faults.catalogue`` prints which tests inject each one.

A test of row 7 is named ``test_row_07_…``, wherever under tests/ it stands; tests with other names are listed here.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from attrs import frozen

TESTS = Path(__file__).parent.parent
NUMBERED = re.compile(r"test_row_(\d\d+)_\w+")


@cache
def functions() -> Counter[str]:
    """Return how often the name of a test function occurs under tests/."""
    names: Counter[str] = Counter()
    for path in TESTS.rglob("test_*.py"):
        nodes = ast.parse(path.read_text("utf-8")).body
        names.update(node.name for node in nodes if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef))
    return names


@frozen
class Row:
    """One row of the catalogue.

    Attributes:
        number: its number, from 1.
        fault: what goes wrong.
        also: names of tests that inject it and have no number of their own.
        untested: why there is no test.

    """

    number: int
    fault: str
    also: tuple[str, ...] = ()
    untested: str | None = None

    @property
    def tests(self) -> list[str]:
        """The names of the tests that inject it."""
        return [*sorted(name for name in functions() if name.startswith(f"test_row_{self.number:02}_")), *self.also]


ROWS = (
    Row(1, "refresh stampede at expiry"),
    Row(2, "stampede on the FIRST token"),
    Row(3, "leeway >= token life (3 s token, 60 s leeway)"),
    Row(4, "waiter uses an RT read before the lock"),
    Row(5, "check outside lock only"),
    Row(6, "stale-401 race: 401 for AT g1 when g2 exists"),
    Row(7, "N in-flight calls all 401 (server-side revoke)"),
    Row(8, "leader cancelled mid-refresh"),
    Row(9, "one of N waiters cancelled"),
    Row(10, "cancelled future is kept and re-awaited for ever"),
    Row(11, "all callers cancelled, loop goes on"),
    Row(12, "event loop / client closes mid-refresh"),
    Row(13, "refresh fails: do waiters each retry?"),
    Row(14, "exception object shared by N waiters"),
    Row(15, "advisory-window refresh fails, AT still valid"),
    Row(16, "background refresher dies at first error"),
    Row(
        17,
        "callback/hook re-enters the client",
        also=("test_hook_may_come_back", "test_slow_hook_holds_nobody_else_and_ends"),
    ),
    Row(18, "slow hook / slow store blocks other keys"),
    Row(19, "two managers or clients on one store in one process", also=("test_two_managers_of_one_store_renew_once",)),
    Row(
        20,
        "lock map grows for ever / is dropped while held",
        also=("test_lock_map_does_not_grow", "test_lock_is_forgotten_after_errors_and_cancellation"),
    ),
    Row(21, "logout or set_token while a refresh is in flight"),
    Row(22, "password/code grant while a refresh is in flight"),
    Row(23, "lock bound to another event loop"),
    Row(24, "two loops in two threads at once"),
    Row(25, "trio backend"),
    Row(26, "waiter cancelled while taking a thread/file/Redis lock in a worker thread"),
    Row(27, "two processes refresh at once (file store)"),
    Row(28, "sibling rotated long ago, we hold an old copy in memory"),
    Row(29, "invalid_grant because a sibling won", also=("test_sibling_who_won_is_adopted_after_a_dead_answer",)),
    Row(30, "lock wait times out", also=("test_lock_that_comes_too_late_sends_nothing",)),
    Row(31, "Redis lease expires while the POST runs"),
    Row(32, "owner deletes the next owner's lock"),
    Row(
        33,
        "late writer overwrites a newer record",
        also=("test_newer_record_is_never_overwritten",),
    ),
    Row(34, "Redis down / flushed / failed over"),
    Row(35, "crash while holding a file lock"),
    Row(36, "fork after construction (prefork server)"),
    Row(37, "process killed between reply and write"),
    Row(38, "rotation done, reply lost"),
    Row(39, "request never sent (ConnectError, ConnectTimeout, PoolTimeout)"),
    Row(40, "read timeout / total deadline"),
    Row(41, "truncated JSON", also=("test_no_secret_is_told", "test_lost_answer_ends_a_line_without_a_login")),
    Row(42, "200 with HTML, or Refreshed.", also=("test_unreadable_replies_say_why_and_nothing_else",)),
    Row(43, "200 carrying error", also=("test_unreadable_replies_say_why_and_nothing_else",)),
    Row(44, "400 invalid_grant"),
    Row(45, "401 invalid_request + hint (league 8)"),
    Row(
        46, "401 invalid_client / unauthorized_client", also=("test_unknown_clients", "test_mark_goes_with_any_answer")
    ),
    Row(
        47,
        "5xx / network trouble read as logout",
        also=("test_mark_goes_with_any_answer", "test_other_refusals_do_not_kill_the_refresh_token"),
    ),
    Row(48, "429 + Retry-After (seconds or HTTP date) on the token endpoint"),
    Row(
        49,
        "transport-level retry middleware resends the refresh POST",
        also=("test_row_38_lost_reply_is_never_resent",),
    ),
    Row(50, "unknown error code or non-string error", also=("test_other_refusals_do_not_kill_the_refresh_token",)),
    Row(51, "oversized body / gzip bomb"),
    Row(52, "token too large for the keyring (Windows: 2560 bytes = 1280 chars)"),
    Row(53, "expires_in missing or null"),
    Row(54, "expires_in 0"),
    Row(55, "expires_in '3600'"),
    Row(56, "'soon', '3600abc', NaN, 1e400, -1, true, []"),
    Row(57, "huge expires_in (10^12)"),
    Row(58, "RT omitted, null or '' in the reply"),
    Row(59, "RT changed in memory but not persisted"),
    Row(60, "access_token missing, empty, number, with newline or non-ASCII"),
    Row(61, "token_type 'bearer', 'BEARER', absent, 'mac'"),
    Row(62, "scope narrowed or widened on refresh"),
    Row(63, "wall clock wrong by hours / jumps both ways"),
    Row(64, "suspend: monotonic stands still"),
    Row(65, "time spent in the exchange not counted"),
    Row(66, "token expires between check and arrival"),
    Row(67, "store holds naive/UTC-mixed times"),
    Row(68, "infinite 401 loop: fresh token still 401"),
    Row(69, "persistent 401 on ONE endpoint over and over (client_credentials where user context is needed: seed 002)"),
    Row(70, "server revoked the AT early, clock says valid"),
    Row(71, "403 treated as 401"),
    Row(72, "non-replayable body (generator, file, async iterator)"),
    Row(73, "streamed upload 401s early, connection still writing"),
    Row(74, "streamed response"),
    Row(75, "retry is not idempotent-safe"),
    Row(76, "auth retry x generic retry multiply"),
    Row(77, "retry keeps the old Authorization header"),
    Row(78, "PAT 401"),
    Row(79, "exchange token 401"),
    Row(80, "wrong organization's token"),
    Row(81, "401 from another origin after a redirect"),
    Row(82, "token POST redirected 307/308 to another host or http"),
    Row(83, "API redirect to another host / port / https->http", also=("test_redirects_are_not_followed",)),
    Row(
        84,
        "http base URL or token URL",
        also=(
            "test_plain_http_is_for_loopback_only",
            "test_a_url_to_which_no_token_goes_is_refused_by_name",
        ),
    ),
    Row(
        85,
        "TLS verification off",
        also=(
            "test_an_unknown_authority_is_refused_and_nothing_is_sent",
            "test_a_context_that_does_not_verify_warns",
            "test_the_environment_does_not_change_whom_we_trust",
        ),
    ),
    Row(86, "proxy env vars", also=("test_proxies_of_the_environment_count_only_when_trusted",)),
    Row(
        87,
        "absolute URL or //host smuggled in a path id",
        also=(
            "test_nothing_is_sent_outside_the_configured_origins",
            "test_an_id_stays_in_its_segment",
        ),
    ),
    Row(88, "secrets in DEBUG logs", also=("test_no_secret_is_told", "test_reprs_show_no_secret")),
    Row(89, "token in the URL logged by httpx at INFO", also=("test_no_secret_is_told",)),
    Row(
        90,
        "repr/str/format/attrs asdict/__dict__/dataclass dump",
        also=("test_reprs_show_no_secret", "test_grants_mask_their_secrets"),
    ),
    Row(
        91,
        "exceptions: args, __cause__, __notes__, locals in rich tracebacks",
        also=("test_no_secret_is_told", "test_waiters_errors_show_no_secret"),
    ),
    Row(92, "pickle/copy of client or token", also=("test_nothing_that_holds_a_secret_is_pickled",)),
    Row(93, "VCR/cassette and telemetry hooks see raw requests"),
    Row(
        94,
        "User-Agent, X-Tallyfy-Client, Idempotency-Key missing on the retried request",
        also=("test_row_77_retry_carries_the_new_token_and_the_callers_headers",),
    ),
    Row(95, "write fails after rotation (disk full, Redis down)"),
    Row(96, "torn file write"),
    Row(97, "readable window: chmod after write"),
    Row(98, "corrupt, truncated or empty file"),
    Row(99, "wrong key / tampered ciphertext / rolled-back older file"),
    Row(100, "symlink or other owner's file at the path"),
    Row(101, "keyring absent, locked, null backend, blocking prompt"),
    Row(102, "sync store I/O on the loop"),
    Row(103, "schema version from the future / unknown fields"),
    Row(104, "AT and RT stored as separate keys"),
    Row(105, "state missing, wrong, reused, other session"),
    Row(106, "guessable state or verifier"),
    Row(107, "PKCE verifier lost or sent with another code"),
    Row(108, "code exchanged twice (reload, retry)"),
    Row(109, "error=access_denied with state; error text with HTML"),
    Row(110, "mix-up: wrong iss"),
    Row(111, "duplicate parameters, both query and fragment, code AND access_token"),
    Row(112, "redirect to another scheme/host/port/path than registered"),
    Row(113, "open redirect through next/return_to kept in state"),
    Row(114, "loopback listener on 0.0.0.0, wrong Host, second request, never called"),
    Row(115, "implicit token injected"),
    Row(116, "secret or password in an authorize URL"),
)


def main() -> None:
    """Print the table."""
    for row in ROWS:
        print(f"{row.number:3}  {row.fault}: {', '.join(row.tests) or row.untested}")  # noqa: T201 - a report
    tested = sum(bool(row.tests) for row in ROWS)
    print(f"{tested} of {len(ROWS)} rows are tested")  # noqa: T201


if __name__ == "__main__":
    main()
