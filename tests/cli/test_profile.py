"""The profile of a login: what is written, what is read, and what becomes of it."""

from __future__ import annotations

import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, Secret, StoreCorruptError, StoreError, TallyfyClient
from tallyfy_async.auth.logins import AuthorizationCode
from tallyfy_async.auth.profile import (
    Profile,
    load_profile,
    login_directory,
    login_settings,
    open_store,
    save_profile,
)
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.folder import state_directory
from tallyfy_async.auth.stores.keyring import KeyringStore

BASE = "https://go.tallyfy.com/api"
GIVEN: dict[str, Any] = {
    "base_url": BASE,
    "token_url": f"{BASE}/oauth/token",
    "client_id": "9999",
    "login": "0123456789abcdef",
    "store": "file",
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    profile = Profile(**GIVEN, organization="f1e2", scope="account process", confidential=True)
    path = save_profile(profile, tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "profile.json"
    assert load_profile(tmp_path / "a" / "b") == profile
    assert json.loads(path.read_text()) == {
        "version": 1,
        **GIVEN,
        "organization": "f1e2",
        "scope": "account process",
        "confidential": True,
    }
    assert pickle.loads(pickle.dumps(profile)) == profile


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_it_is_for_one_user_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = save_profile(Profile(**GIVEN), tmp_path / "new")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    save_profile(Profile(**GIVEN, organization="other"), tmp_path / "new")
    assert [one.name for one in path.parent.iterdir()] == ["profile.json"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links are POSIX's")
def test_a_symbolic_link_in_its_place_is_refused(tmp_path: Path) -> None:
    other = save_profile(Profile(**GIVEN), tmp_path / "other")
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "mine" / "profile.json").symlink_to(other)
    with pytest.raises(StoreError, match="symbolic link"):
        load_profile(tmp_path / "mine")


def test_nobody_has_logged_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no login in .* run python -m tallyfy_async login"):
        load_profile(tmp_path)


WRONG: list[Any] = ["", "{", "[]", "null", "\xff", {}, {"version": True}, {"version": 0}, {"version": "1"}]
WRONG += [{"version": 1}, {"version": 1, **GIVEN, "store": "drawer"}, {"version": 1, **GIVEN, "login": ""}]
WRONG += [{"version": 1, **GIVEN, "scope": 7}, {"version": 1, **GIVEN, "confidential": "yes"}]


@pytest.mark.parametrize("content", WRONG)
def test_what_is_no_profile_is_told(content: Any, tmp_path: Path) -> None:
    path = save_profile(Profile(**GIVEN), tmp_path / "login")
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreCorruptError, match="is no profile of a login"):
        load_profile(tmp_path / "login")
    assert path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("more", [{"version": 2}, {"colour": "blue"}])
def test_a_profile_of_a_newer_version_is_refused(more: dict[str, Any], tmp_path: Path) -> None:
    path = save_profile(Profile(**GIVEN), tmp_path / "login")
    path.write_text(json.dumps({"version": 1, **GIVEN, **more}))
    with pytest.raises(StoreError, match="newer version"):
        load_profile(tmp_path / "login")


def test_the_directory_is_given_or_named_or_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALLYFY_DIRECTORY", str(tmp_path / "named"))
    assert login_directory() == tmp_path / "named"
    assert login_directory(tmp_path) == tmp_path
    assert login_directory("~/here") == Path.home() / "here"
    monkeypatch.delenv("TALLYFY_DIRECTORY")
    assert login_directory() == state_directory()


def test_a_confidential_client_needs_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile(**GIVEN, confidential=True)
    with pytest.raises(ConfigurationError, match="client 9999 has a secret: set TALLYFY_CLIENT_SECRET"):
        profile.grant()
    assert profile.grant("given").client_secret == Secret("given")
    assert profile.grant(str).client_secret is str
    monkeypatch.setenv("TALLYFY_CLIENT_SECRET", "from the environment")
    assert profile.grant().client_secret == Secret("from the environment")
    assert Profile(**GIVEN).grant().client_secret is None


def test_the_settings_name_the_line_that_the_login_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    code = AuthorizationCode(client_id="9999", client_secret=None, code="c", redirect_uri="http://127.0.0.1/callback")
    wrote = TallyfyClient(code, base_url=BASE)
    save_profile(Profile(**{**GIVEN, "login": code.login}, organization="f1e2"))
    settings = login_settings()
    reads = TallyfyClient(**settings)
    assert reads._config.token_key(reads._config.auth) == wrote._config.token_key(code)
    assert reads._config.organization == "f1e2"
    assert isinstance(settings["token_store"], FileStore)


def test_the_stores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(open_store("keyring", tmp_path), KeyringStore)
    assert isinstance(open_store("file", tmp_path), FileStore)
    monkeypatch.delenv("TALLYFY_TOKEN_KEYS")
    with pytest.raises(ConfigurationError, match="TALLYFY_TOKEN_KEYS"):
        open_store("file", tmp_path)
