"""``python -m tallyfy_async login``: what is wrong is told before a browser opens."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import threading
import warnings
from urllib.parse import urlsplit

import pytest

from tallyfy_async import __main__ as entry
from tallyfy_async.cli import login
from tallyfy_async.sandbox import Sandbox
from tests.cli.person import words


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--port", "70000"], "the number of a port is needed"),
        (["--timeout", "0"], "a number of more than 0 is needed"),
        (["--flow", "magic"], "invalid choice"),
        (["--client", "7"], "unrecognized arguments"),
        (["--client-secret", "s3cr3t"], "other users would see it"),
        (["--client-secret=s3cr3t"], "other users would see it"),
    ],
)
def test_usage_errors(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        login.main(more)
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "name the client"),
        (["--client-id", "7", "--base-url", "http://go.tallyfy.com/api"], "base_url must be https"),
        (["--client-id", "7", "--store", "file", "--authorize-url", "http://evil.example"], "authorize_url must be"),
    ],
)
def test_wrong_settings_have_status_2(more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert login.main(more, browse=_never) == 2
    assert message in capsys.readouterr().err


def _never(address: str) -> None:
    raise AssertionError(address)


def test_a_missing_key_is_told_before_the_browser_opens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TALLYFY_TOKEN_KEYS")
    assert login.main(["--client-id", "7", "--store", "file"], browse=_never) == 2
    assert "generate_key" in capsys.readouterr().err


def test_what_is_wrong_is_told_as_json_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        login.main(["--json", "--port", "x"])
    said = [capsys.readouterr()]
    assert exit_.value.code == login.main(["--json"], browse=_never) == 2
    said.append(capsys.readouterr())
    told = [json.loads(one.err)["error"] for one in said]
    assert [(one.out, error["kind"]) for one, error in zip(said, told, strict=True)] == [
        ("", "UsageError"),
        ("", "ConfigurationError"),
    ]
    assert "the number of a port is needed" in told[0]["message"]


def test_the_help_shows_no_address_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TALLYFY_BASE_URL", "https://ada:s3cr3t@tallyfy.example/api")
    with pytest.raises(SystemExit):
        login.main(["--help"])
    assert "s3cr3t" not in capsys.readouterr().out


@pytest.mark.parametrize("store", ["file", "keyring"])
def test_a_missing_extra_is_named(store: str) -> None:
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('cryptography', 'cryptography.fernet', 'filelock', 'keyring')))\n"
        f"from tallyfy_async.__main__ import main; sys.exit(main(['login', '--client-id', '7', '--store', '{store}']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f'pip install "tallyfy-async[{store}]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_keyring_is_told_before_the_browser_opens(capsys: pytest.CaptureFixture[str]) -> None:
    assert login.main(["--client-id", "7"], browse=_never) == 1
    assert "there is no usable keyring" in capsys.readouterr().err


def test_a_taken_port_is_told_before_the_browser_opens(capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    port = str(urlsplit(sandbox.url).port)
    assert login.main(words(sandbox, "--port", port), browse=_never) == 2
    assert f"port {port} of 127.0.0.1 cannot be listened on" in capsys.readouterr().err


@pytest.mark.parametrize("trouble", [getpass.GetPassWarning("Can not control echo"), EOFError()])
def test_a_secret_that_would_be_seen_is_not_asked_for(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(_prompt: str) -> str:
        if isinstance(trouble, Warning):
            warnings.warn(trouble, stacklevel=1)
            return "s3cr3t in the clear"
        raise trouble

    monkeypatch.setattr(getpass, "getpass", ask)
    assert login.main(["--client-id", "7", "--ask-secret"], browse=_never) == 2
    assert "no terminal that can hide what is typed" in capsys.readouterr().err


def test_an_interrupted_prompt_has_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(_prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", ask)
    assert login.main(["--client-id", "7", "--ask-secret"], browse=_never) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_browser_that_cannot_be_started_is_no_end(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    daemons: list[bool] = []

    def broken(address: str) -> None:
        daemons.append(threading.current_thread().daemon)
        raise OSError(len(address))

    assert login.main(words(sandbox, "--timeout", "0.3"), browse=broken) == 3
    assert daemons == [True]  # a browser that never ends does not keep the command from ending
    assert "If nothing happens, open this address:\nhttp://127.0.0.1" in capsys.readouterr().err


def test_the_entry_point_knows_the_command(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        entry.main(["login", "--help"])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert "--ask-secret" in said
    assert "--client-secret" not in said
