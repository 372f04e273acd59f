"""The catalogue of OAuth faults, row by row: the tests that inject each one, or why there is none yet."""

from __future__ import annotations

from attrs import frozen

NEXT = "next: flows and stores"


@frozen
class Row:
    """One row of the catalogue.

    Attributes:
        number: its number, from 1.
        fault: what goes wrong.
        tests: names of the tests that inject it, in tests/faults and tests/auth.
        pending: why there is no test yet.

    """

    number: int
    fault: str
    tests: tuple[str, ...] = ()
    pending: str | None = None


def _later(number: int, fault: str) -> Row:
    return Row(number, fault, pending=NEXT)


ROWS = (
    Row(1, "refresh stampede at expiry", ("test_row_01_refresh_stampede_at_expiry",)),
    Row(
        2,
        "stampede on the FIRST token",
        (
            "test_row_02_stampede_on_the_first_token",
            "test_row_02_stampede_on_the_first_application_token",
        ),
    ),
    Row(3, "leeway >= token life (3 s token, 60 s leeway)", ("test_row_03_leeway_longer_than_the_life",)),
    Row(
        4,
        "waiter uses an RT read before the lock",
        ("test_row_04_waiter_uses_the_refresh_token_of_the_current_record",),
    ),
    Row(5, "check outside lock only", ("test_row_05_check_outside_the_lock_only",)),
    Row(6, "stale-401 race: 401 for AT g1 when g2 exists", ("test_row_06_stale_401_race",)),
    Row(7, "N in-flight calls all 401 (server-side revoke)", ("test_row_07_all_calls_in_flight_get_401",)),
    Row(
        8,
        "leader cancelled mid-refresh",
        (
            "test_row_08_leader_cancelled_mid_refresh",
            "test_row_08_leader_past_its_deadline",
        ),
    ),
    Row(9, "one of N waiters cancelled", ("test_row_09_one_waiter_cancelled",)),
    Row(10, "cancelled future is kept and re-awaited for ever", ("test_row_10_cancelled_flight_is_not_kept",)),
    Row(11, "all callers cancelled, loop goes on", ("test_row_11_all_callers_cancelled_while_the_loop_goes_on",)),
    Row(12, "event loop / client closes mid-refresh", ("test_row_12_client_closes_mid_refresh",)),
    Row(
        13,
        "refresh fails: do waiters each retry?",
        (
            "test_row_13_one_failed_refresh_is_one_retry",
            "test_row_13_lasting_failure_costs_the_attempts_of_one",
        ),
    ),
    Row(14, "exception object shared by N waiters", ("test_row_14_every_waiter_has_its_own_exception",)),
    Row(
        15,
        "advisory-window refresh fails, AT still valid",
        (
            "test_row_15_failing_advisory_refresh_keeps_the_old_token",
            "test_row_15_others_go_on_while_one_refreshes_early",
        ),
    ),
    _later(16, "background refresher dies at first error"),
    Row(
        17,
        "callback/hook re-enters the client",
        (
            "test_hook_may_come_back",
            "test_slow_hook_holds_nobody_else_and_ends",
        ),
    ),
    _later(18, "slow hook / slow store blocks other keys"),
    Row(19, "two managers or clients on one store in one process", ("test_two_managers_of_one_store_renew_once",)),
    Row(
        20,
        "lock map grows for ever / is dropped while held",
        (
            "test_lock_map_does_not_grow",
            "test_lock_is_forgotten_after_errors_and_cancellation",
        ),
    ),
    _later(21, "logout or set_token while a refresh is in flight"),
    _later(22, "password/code grant while a refresh is in flight"),
    _later(23, "lock bound to another event loop"),
    _later(24, "two loops in two threads at once"),
    Row(
        25,
        "trio backend",
        (
            "test_row_25_no_room_imports_an_event_loop",
            "test_row_25_no_room_imports_an_event_loop",
        ),
    ),
    _later(26, "waiter cancelled while taking a thread/file/Redis lock in a worker thread"),
    _later(27, "two processes refresh at once (file store)"),
    _later(28, "sibling rotated long ago, we hold an old copy in memory"),
    Row(29, "invalid_grant because a sibling won", ("test_sibling_who_won_is_adopted_after_a_dead_answer",)),
    Row(30, "lock wait times out", ("test_lock_that_comes_too_late_sends_nothing",)),
    _later(31, "Redis lease expires while the POST runs"),
    _later(32, "owner deletes the next owner's lock"),
    Row(
        33,
        "late writer overwrites a newer record",
        (
            "test_newer_record_is_never_overwritten",
            "test_compare_and_set",
        ),
    ),
    _later(34, "Redis down / flushed / failed over"),
    _later(35, "crash while holding a file lock"),
    _later(36, "fork after construction (prefork server)"),
    _later(37, "process killed between reply and write"),
    Row(
        38,
        "rotation done, reply lost",
        (
            "test_row_38_lost_reply_is_never_resent",
            "test_row_38_old_token_is_used_while_it_lives",
            "test_row_38_store_is_read_again",
            "test_row_38_one_replay_where_the_server_grants_it",
            "test_row_38_at_most_one_replay",
            "test_row_38_a_password_logs_in_anew",
        ),
    ),
    Row(39, "request never sent (ConnectError, ConnectTimeout, PoolTimeout)", ("test_row_39_request_never_sent",)),
    Row(
        40,
        "read timeout / total deadline",
        (
            "test_row_40_total_deadline_of_a_refresh",
            "test_row_40_waiters_keep_their_own_deadline",
        ),
    ),
    Row(
        41,
        "truncated JSON",
        (
            "test_no_secret_is_told",
            "test_lost_answer_ends_a_line_without_a_login",
        ),
    ),
    Row(42, "200 with HTML, or Refreshed.", ("test_unreadable_replies_say_why_and_nothing_else",)),
    Row(43, "200 carrying error", ("test_unreadable_replies_say_why_and_nothing_else",)),
    Row(44, "400 invalid_grant", ("test_row_44_dead_refresh_token_of_league_9",)),
    Row(
        45,
        "401 invalid_request + hint (league 8)",
        (
            "test_row_45_dead_refresh_token_of_league_8",
            "test_row_45_dead_refresh_token_and_a_password",
        ),
    ),
    Row(
        46,
        "401 invalid_client / unauthorized_client",
        (
            "test_unknown_clients",
            "test_mark_goes_with_any_answer",
        ),
    ),
    Row(
        47,
        "5xx / network trouble read as logout",
        (
            "test_mark_goes_with_any_answer",
            "test_other_refusals_do_not_kill_the_refresh_token",
        ),
    ),
    Row(
        48,
        "429 + Retry-After (seconds or HTTP date) on the token endpoint",
        (
            "test_row_48_short_pause_is_waited_for_once",
            "test_row_48_long_pause_binds_everybody",
            "test_row_48_pause_has_a_cap",
            "test_row_48_pause_in_the_advisory_window_bothers_nobody",
        ),
    ),
    Row(49, "transport-level retry middleware resends the refresh POST", ("test_row_38_lost_reply_is_never_resent",)),
    Row(50, "unknown error code or non-string error", ("test_other_refusals_do_not_kill_the_refresh_token",)),
    _later(51, "oversized body / gzip bomb"),
    _later(52, "token too large for the keyring (Windows: 2560 bytes = 1280 chars)"),
    Row(53, "expires_in missing or null", ("test_row_53_life_unknown",)),
    Row(54, "expires_in 0", ("test_row_54_expired_on_arrival",)),
    Row(55, "expires_in '3600'", ("test_row_55_life_as_text",)),
    Row(56, "'soon', '3600abc', NaN, 1e400, -1, true, []", ("test_row_56_life_that_is_no_number",)),
    Row(57, "huge expires_in (10^12)", ("test_row_57_huge_life",)),
    Row(
        58,
        "RT omitted, null or '' in the reply",
        (
            "test_row_58_reply_without_refresh_token_keeps_the_old_one",
            "test_row_58_new_login_does_not_inherit_a_dead_refresh_token",
        ),
    ),
    Row(59, "RT changed in memory but not persisted", ("test_row_59_both_new_values_in_one_write",)),
    Row(60, "access_token missing, empty, number, with newline or non-ASCII", ("test_row_60_unusable_access_token",)),
    Row(
        61,
        "token_type 'bearer', 'BEARER', absent, 'mac'",
        (
            "test_row_61_bearer_in_any_case",
            "test_row_61_other_token_types",
        ),
    ),
    Row(62, "scope narrowed or widened on refresh", ("test_row_62_scope_changes_on_refresh",)),
    Row(
        63,
        "wall clock wrong by hours / jumps both ways",
        (
            "test_row_63_wall_clock_jumps",
            "test_row_63_stored_record_from_a_clock_that_is_ahead",
            "test_row_63_stored_record_from_a_clock_that_is_behind",
        ),
    ),
    Row(64, "suspend: monotonic stands still", ("test_row_64_one_clock_stands_still",)),
    Row(65, "time spent in the exchange not counted", ("test_row_65_time_in_the_exchange_counts",)),
    Row(66, "token expires between check and arrival", ("test_row_66_token_dies_on_the_way",)),
    _later(67, "store holds naive/UTC-mixed times"),
    Row(68, "infinite 401 loop: fresh token still 401", ("test_row_68_fresh_token_is_refused_too",)),
    Row(
        69,
        "persistent 401 on ONE endpoint over and over (client_credentials where user context is needed: seed 002)",
        (
            "test_row_69_one_endpoint_refuses_for_ever",
            "test_row_69_many_at_once_on_the_refusing_endpoint",
            "test_row_69_application_token_where_a_user_is_needed",
        ),
    ),
    Row(70, "server revoked the AT early, clock says valid", ("test_row_70_server_revoked_the_token_early",)),
    Row(71, "403 treated as 401", ("test_row_71_403_is_no_401",)),
    _later(72, "non-replayable body (generator, file, async iterator)"),
    _later(73, "streamed upload 401s early, connection still writing"),
    _later(74, "streamed response"),
    Row(
        75,
        "retry is not idempotent-safe",
        (
            "test_row_75_lost_reply_of_a_write_is_not_resent",
            "test_row_75_answered_401_of_a_write_is_resent_once",
        ),
    ),
    Row(
        76,
        "auth retry x generic retry multiply",
        (
            "test_row_76_one_budget_for_auth_and_other_retries",
            "test_row_76_upper_bound_of_sends",
        ),
    ),
    Row(
        77,
        "retry keeps the old Authorization header",
        (
            "test_row_77_retry_carries_the_new_token_and_the_callers_headers",
            "test_row_77_callers_cannot_bring_their_own_authorization",
        ),
    ),
    Row(
        78,
        "PAT 401",
        (
            "test_row_78_personal_token_after_a_logout",
            "test_row_78_a_login_lives_on_after_a_logout",
        ),
    ),
    _later(79, "exchange token 401"),
    _later(80, "wrong organization's token"),
    _later(81, "401 from another origin after a redirect"),
    _later(82, "token POST redirected 307/308 to another host or http"),
    _later(83, "API redirect to another host / port / https->http"),
    _later(84, "http base URL or token URL"),
    _later(85, "TLS verification off"),
    _later(86, "proxy env vars"),
    _later(87, "absolute URL or //host smuggled in a path id"),
    Row(
        88,
        "secrets in DEBUG logs",
        (
            "test_no_secret_is_told",
            "test_reprs_show_no_secret",
        ),
    ),
    Row(89, "token in the URL logged by httpx at INFO", ("test_no_secret_is_told",)),
    Row(
        90,
        "repr/str/format/attrs asdict/__dict__/dataclass dump",
        (
            "test_reprs_show_no_secret",
            "test_grants_mask_their_secrets",
        ),
    ),
    Row(
        91,
        "exceptions: args, __cause__, __notes__, locals in rich tracebacks",
        (
            "test_no_secret_is_told",
            "test_waiters_errors_show_no_secret",
        ),
    ),
    Row(92, "pickle/copy of client or token", ("test_nothing_that_holds_a_secret_is_pickled",)),
    _later(93, "VCR/cassette and telemetry hooks see raw requests"),
    Row(
        94,
        "User-Agent, X-Tallyfy-Client, Idempotency-Key missing on the retried request",
        ("test_row_77_retry_carries_the_new_token_and_the_callers_headers",),
    ),
    _later(95, "write fails after rotation (disk full, Redis down)"),
    _later(96, "torn file write"),
    _later(97, "readable window: chmod after write"),
    _later(98, "corrupt, truncated or empty file"),
    _later(99, "wrong key / tampered ciphertext / rolled-back older file"),
    _later(100, "symlink or other owner's file at the path"),
    _later(101, "keyring absent, locked, null backend, blocking prompt"),
    _later(102, "sync store I/O on the loop"),
    _later(103, "schema version from the future / unknown fields"),
    _later(104, "AT and RT stored as separate keys"),
    _later(105, "state missing, wrong, reused, other session"),
    _later(106, "guessable state or verifier"),
    _later(107, "PKCE verifier lost or sent with another code"),
    _later(108, "code exchanged twice (reload, retry)"),
    _later(109, "error=access_denied with state; error text with HTML"),
    _later(110, "mix-up: wrong iss"),
    _later(111, "duplicate parameters, both query and fragment, code AND access_token"),
    _later(112, "redirect to another scheme/host/port/path than registered"),
    _later(113, "open redirect through next/return_to kept in state"),
    _later(114, "loopback listener on 0.0.0.0, wrong Host, second request, never called"),
    _later(115, "implicit token injected"),
    _later(116, "secret or password in an authorize URL"),
)
