"""Records as bytes: everything comes back, and nothing else is taken for a record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import StoreCorruptError, StoreError, Token
from tallyfy_async.auth.stores.record import MAX_RECORD_BYTES, from_bytes, to_bytes
from tests.auth.stores.disk import KEY, assert_silent, token

_HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
_SECONDS = st.floats(0, 1e11, allow_nan=False) | st.integers(0, 10**11)
TOKENS = st.builds(
    Token,
    access_token=_HEADER,
    refresh_token=st.none() | st.text(min_size=1, max_size=30),
    scopes=st.none() | st.frozensets(st.text(max_size=5), max_size=3),
    issued_at=_SECONDS,
    lifetime=st.none() | _SECONDS,
    generation=st.integers(0, 2**40),
    presented=st.booleans(),
)


def altered(**changes: Any) -> bytes:
    """Return a record with other fields in its token."""
    document = json.loads(to_bytes(KEY, token()))
    document["token"] |= changes
    return json.dumps(document).encode()


@given(record=TOKENS, key=st.text(max_size=20))
def test_every_record_comes_back(record: Token, key: str) -> None:
    assert from_bytes(key, to_bytes(key, record)) == record


def test_a_tombstone_comes_back() -> None:
    end = Token.tombstone(generation=7, at=1_780_000_000.0)
    assert from_bytes(KEY, to_bytes(KEY, end)).ended


def test_shape_of_a_record() -> None:
    document = json.loads(to_bytes(KEY, token(3)))
    assert document["v"] == 1
    assert document["key"] == KEY
    assert document["token"]["issued_at"] == 1_780_000_000.25, "epoch seconds"
    assert document["token"]["scopes"] == ["process", "task"]
    assert b"\n" not in to_bytes(KEY, token())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\xfe",
        b"null",
        b"[]",
        b'"eyJhbGciOi.xxxxxxxx"',
        b"xxxxxxxx",
        b"{}",
        b'{"v": 1}',
        b'{"v": 0, "key": "", "token": {}}',
        b'{"v": true, "key": "", "token": {}}',
        b'{"v": 1, "key": "line-of-bob", "token": {}}',
        b"[" * 100_000,
        b"9" * 5000,
        to_bytes(KEY, token())[:-1],
        to_bytes(KEY, token())[:200],
        to_bytes(KEY, token()) + b" " * MAX_RECORD_BYTES,
        to_bytes("line-of-bob", token()),
        *(
            altered(**changes)
            for changes in (
                {"access_token": None},
                {"access_token": "line\r\nbreak"},
                {"access_token": "ü"},
                {"refresh_token": ""},
                {"refresh_token": 7},
                {"scopes": "task"},
                {"scopes": [1]},
                {"issued_at": "2026-06-01T00:00:00"},
                {"issued_at": None},
                {"issued_at": True},
                {"issued_at": 1_780_000_000_000},
                {"issued_at": 10**400},
                {"lifetime": float("nan")},
                {"lifetime": float("inf")},
                {"lifetime": "3600"},
                {"generation": 1.0},
                {"generation": -1},
                {"generation": True},
                {"presented": 0},
            )
        ),
    ],
)
def test_row_98_garbage_is_no_record(data: bytes) -> None:
    with pytest.raises(StoreCorruptError) as caught:
        from_bytes(KEY, data)
    assert_silent(caught.value, "line-of-bob")


@pytest.mark.parametrize("name", ["access_token", "refresh_token", "scopes", "issued_at", "lifetime", "generation"])
def test_a_field_that_is_absent_is_not_made_up(name: str) -> None:
    document = json.loads(to_bytes(KEY, token()))
    del document["token"][name]
    with pytest.raises(StoreCorruptError, match=f"{name} is absent"):
        from_bytes(KEY, json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b'{"v": 2, "anything": 1}',
        b'{"v": 99, "key": "line-of-bob", "token": null}',
        json.dumps({**json.loads(to_bytes(KEY, token())), "note": 1}).encode(),
        altered(id_token="xxxxxxxx"),
    ],
)
def test_row_103_records_of_newer_versions_are_refused(data: bytes) -> None:
    with pytest.raises(StoreError, match="upgrade") as caught:
        from_bytes(KEY, data)
    assert type(caught.value) is StoreError
    assert_silent(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"issued_at": 1_780_000_000_000}, {"lifetime": float("inf")}, {"issued_at": float("nan")}, {"generation": -1}],
)
def test_what_could_not_be_read_back_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="cannot be stored") as caught:
        to_bytes(KEY, token(**changes))
    assert_silent(caught.value)


def test_row_67_times_are_epoch_seconds_in_every_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    there = to_bytes(KEY, token())
    monkeypatch.setenv("TZ", "America/Anchorage")
    assert to_bytes(KEY, from_bytes(KEY, there)) == there
