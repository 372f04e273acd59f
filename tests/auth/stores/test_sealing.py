"""Encryption at rest: which keys, and what is not opened."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import keyring
import pytest
from cryptography.fernet import Fernet, MultiFernet

from tallyfy_async import ConfigurationError, StoreCorruptError, StoreError
from tallyfy_async.auth.stores import vault
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.record import to_bytes
from tallyfy_async.auth.stores.sealing import ENVIRONMENT_VARIABLE, Sealer, generate_key
from tallyfy_async.protocol.redaction import Secret
from tests.auth.stores.backends import Dead, Dict, Prompt
from tests.auth.stores.disk import KEY, OTHER_SEAL, SEAL, assert_silent, token


def test_what_is_sealed_is_opened_again() -> None:
    sealed = Sealer.of(SEAL).seal(KEY, token())
    assert Sealer.of(SEAL).open(KEY, sealed) == token()
    for clear in (b"xxxxxxxx", b"yyyyyyyy", b"ada", b"generation"):
        assert clear not in sealed


def test_sealed_records_are_plain_fernet_tokens() -> None:
    assert Fernet(SEAL).decrypt(Sealer.of(SEAL).seal(KEY, token())) == to_bytes(KEY, token())


@pytest.mark.parametrize(
    "keys",
    [
        SEAL,
        SEAL.encode(),
        Secret(SEAL),
        f" {SEAL} , {OTHER_SEAL},",
        [SEAL],
        (Secret(SEAL), OTHER_SEAL.encode()),
        Sealer([SEAL]),
    ],
    ids=lambda keys: type(keys).__name__,
)
def test_keys_in_every_spelling(keys: Any) -> None:
    assert Fernet(SEAL).decrypt(Sealer.of(keys).seal(KEY, token()))


def test_generated_keys_are_keys_and_never_the_same() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert Sealer(sorted(keys)).open(KEY, Sealer([max(keys)]).seal(KEY, token())) == token()


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, f"{SEAL},{OTHER_SEAL}")
    sealed = Sealer.of(None).seal(KEY, token())
    assert Sealer.of(SEAL).open(KEY, sealed) == token()
    assert Sealer.of(None).open(KEY, Sealer.of(OTHER_SEAL).seal(KEY, token())) == token()


@pytest.mark.parametrize("value", [None, "", " , "])
def test_without_keys_nothing_is_stored(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
    with pytest.raises(ConfigurationError, match="generate_key"):
        Sealer.of(None)
    with pytest.raises(ConfigurationError, match="generate_key"):
        Sealer.of([])


@pytest.mark.parametrize(
    "wrong",
    ["secret-pass-word", SEAL[:-2], "", "ü" * 44, b"\xff" * 44, 7],
    ids=["word", "cut", "empty", "letters", "bytes", "int"],
)
def test_what_is_no_key_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Sealer.of([SEAL, wrong])
    assert_silent(caught.value, "secret-pass-word", SEAL[:-2])


def test_row_99_every_flipped_byte_is_noticed() -> None:
    sealer = Sealer.of(SEAL)
    sealed = sealer.seal(KEY, token(1, access_token="xxxxxxxx", refresh_token="yyyyyyyy"))
    for place in range(len(sealed)):
        for bit in (0x01, 0x02, 0x20, 0x80):
            changed = sealed[:place] + bytes([sealed[place] ^ bit]) + sealed[place + 1 :]
            with pytest.raises(StoreCorruptError):
                sealer.open(KEY, changed)


@pytest.mark.parametrize("more", [b"\n", b"=", b"AAAA", b" "])
def test_row_99_nothing_can_be_added_or_cut(more: bytes) -> None:
    sealer = Sealer.of(SEAL)
    sealed = sealer.seal(KEY, token())
    for changed in (sealed + more, more + sealed, sealed[:-1], sealed[1:], sealed[:100], b""):
        with pytest.raises(StoreCorruptError):
            sealer.open(KEY, changed)


def test_row_99_wrong_key() -> None:
    with pytest.raises(StoreCorruptError, match="none of those given") as caught:
        Sealer.of(OTHER_SEAL).open(KEY, Sealer.of(SEAL).seal(KEY, token()))
    assert_silent(caught.value)


def test_row_99_another_lines_record_is_not_taken() -> None:
    sealer = Sealer.of(SEAL)
    with pytest.raises(StoreCorruptError, match="another line"):
        sealer.open(KEY, sealer.seal("another", token()))


def test_row_99_keys_are_rotated() -> None:
    old = Sealer.of(SEAL).seal(KEY, token())
    both = Sealer.of([OTHER_SEAL, SEAL])
    assert both.open(KEY, old) == token()
    assert Sealer.of(OTHER_SEAL).open(KEY, both.seal(KEY, token())) == token()
    with pytest.raises(StoreCorruptError):
        Sealer.of(SEAL).open(KEY, both.seal(KEY, token()))


def test_a_sealer_does_not_give_its_keys_away() -> None:
    sealer = Sealer.of([SEAL, OTHER_SEAL])
    assert repr(sealer) == "<Sealer 2 keys>"
    for leak in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(sealer)


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(ConfigurationError, match=r'pip install "tallyfy-async\[file\]"'):
        Sealer.of(SEAL)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Dict:
    backend = Dict()
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return backend


def test_key_in_the_systems_keyring_is_made_once(system: Dict) -> None:
    sealed = Sealer.of("keyring").seal(KEY, token())
    assert Sealer.of("keyring").open(KEY, sealed) == token()
    [kept] = system.entries.values()
    assert MultiFernet([Fernet(kept)]).decrypt(sealed)
    assert system.writes == 1


def test_several_keys_in_the_systems_keyring(system: Dict) -> None:
    system.entries["tallyfy_async", "token-keys"] = f"{OTHER_SEAL},{SEAL}"
    sealer = Sealer.of("keyring")
    assert sealer.open(KEY, Sealer.of(SEAL).seal(KEY, token())) == token()
    assert Sealer.of(OTHER_SEAL).open(KEY, sealer.seal(KEY, token())) == token()


def test_keyring_that_forgets_brings_no_key(system: Dict) -> None:
    system.forgetful = True
    with pytest.raises(StoreError, match="did not keep"):
        Sealer.of("keyring")


def test_dead_keyring_brings_no_key(system: Dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_keyring", Dead)
    with pytest.raises(StoreError, match="locked"):
        Sealer.of("keyring")


def test_row_101_keyring_that_asks_somebody_is_not_waited_for(
    system: Dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    prompt = Prompt("get")
    monkeypatch.setattr(keyring, "get_keyring", lambda: prompt)
    monkeypatch.setattr(vault, "_KEY_SECONDS", 0.05)
    with pytest.raises(StoreError, match="does not answer"):
        FileStore(tmp_path / "tokens", keys="keyring")
    prompt.answered.set()
    assert prompt.left.wait(10)
    assert prompt.writes == 0, "a late answer lets no key come into being"


@pytest.mark.parametrize("module", ["keyring", "filelock"])
def test_key_in_the_keyring_needs_the_extra(system: Dict, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r'pip install "tallyfy-async\[keyring\]"'):
        Sealer.of("keyring")
