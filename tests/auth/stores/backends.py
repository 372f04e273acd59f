"""Keyring backends with faults. Their classes look like those of the package keyring where a test needs that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from keyring.errors import KeyringLocked, NoKeyringError, PasswordDeleteError, PasswordSetError


class Killed(BaseException):
    """The process died."""


class Dict:
    """Keeps entries in memory; ``limit`` is the longest in characters, as in Windows where 1,280 are 2,560 bytes."""

    def __init__(self, limit: int | None = None) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.limit, self.forgetful = limit, False
        self.writes = 0
        self.log: list[str] = []
        self.deadly: int | None = None

    def _step(self, word: str) -> None:
        self.log.append(word)
        if self.deadly is not None and len([word for word in self.log if word != "get"]) > self.deadly:
            raise Killed

    def get_password(self, service: str, username: str) -> str | None:
        self._step("get")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._step("set")
        if self.limit is not None and len(password) > self.limit:
            raise PasswordSetError(f"The stub received bad data: {password}")
        self.writes += 1
        if not self.forgetful:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._step("delete")
        if (service, username) not in self.entries:
            raise PasswordDeleteError
        del self.entries[service, username]


class Dead(Dict):
    """A keyring that is locked."""

    error: Callable[[], Exception] = KeyringLocked

    def _step(self, word: str) -> None:
        raise type(self).error()


class Absent(Dead):
    """What the package keyring finds where there is nothing."""

    error = NoKeyringError


class Foreign(Dead):
    """A platform's own exceptions, with the value in them."""

    def set_password(self, service: str, username: str, password: str) -> None:
        msg = f"D-Bus could not take {password!r}"
        raise OSError(msg)

    def _step(self, word: str) -> None:
        """Let reads pass."""


class PlaintextKeyring(Dict):
    """Keeps plain text, like the one of keyrings.alt."""


class Prompt(Dict):
    """Asks somebody to unlock it before it does ``word``, and waits."""

    def __init__(self, word: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.word = word
        self.asked, self.answered, self.left = threading.Event(), threading.Event(), threading.Event()

    def _step(self, word: str) -> None:
        super()._step(word)
        if word == self.word:
            self.asked.set()
            assert self.answered.wait(60)
            self.left.set()
