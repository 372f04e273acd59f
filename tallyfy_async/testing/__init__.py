"""Test your own program against a local Tallyfy, without network, account or waiting.

Needs the extra ``sandbox``. In one process, without a socket::

    from tallyfy_async.sandbox import Sandbox
    from tallyfy_async.testing import connect

    async def test_launching() -> None:
        sandbox = Sandbox()
        async with connect(sandbox) as tallyfy:
            org = tallyfy.organization()
            template = await anext(aiter(org.checklists.list()))
            ...

Over a real socket, with the same client code::

    with sandbox.serve():
        async with connect(sandbox) as tallyfy: ...

With pytest, the fixtures ``tallyfy_sandbox``, ``tallyfy_client``, ``tallyfy_clock`` and ``tallyfy_faults`` are there as
soon as this package is installed; see :mod:`tallyfy_async.testing.plugin`. Importing this package loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallyfy_async.testing.connecting import connect
else:

    def __getattr__(name: str) -> object:
        if name != "connect":
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from tallyfy_async.testing.connecting import connect  # noqa: PLC0415 - lazy: the plugin is loaded by every pytest

        return connect


__all__ = ["connect"]
