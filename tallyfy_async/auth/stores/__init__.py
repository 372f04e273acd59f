"""Where token records live: one small protocol, several places."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tallyfy_async.auth.token import Token


class TokenStore(Protocol):
    """A place for token records, shared by every manager that uses it.

    Keys are texts without secrets, one for each line of tokens. Methods raise StoreError and its kinds.
    """

    async def load(self, key: str) -> Token | None:
        """Return the record under ``key``, None where there is none."""
        ...

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        """Write ``token``, if the stored generation is ``expected`` (None: nothing stored); return whether it was."""
        ...

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """Return a context that one manager at a time can hold for ``key``."""
        ...
