"""A reply whose body is still to be read, with the slot of the limiter that its connection takes."""

from __future__ import annotations

from attrs import define, field

from tallyfy_async.transport.exchange import Incoming
from tallyfy_async.transport.pace import Pace


@define(eq=False)
class Opened:
    """The body of a reply that is still to be read, and the slot that its connection takes until it is closed."""

    _incoming: Incoming
    _limiter: Pace
    _closed: bool = field(default=False, init=False)

    @classmethod
    def park(cls, incoming: Incoming, limiter: Pace) -> Opened:
        """Take over the slot of an exchange that has come so far: while it is read, others may be sent."""
        opened = cls(incoming, limiter)
        limiter.park()
        return opened

    async def read(self) -> bytes:
        """Return the next piece, nothing at the end of the whole body; raise TransportError and its kinds."""
        return await self._incoming.read()

    async def aclose(self) -> None:
        """Give connection and slot back; safe to repeat."""
        if not self._closed:
            self._closed = True
            try:
                await self._incoming.aclose()
            finally:
                self._limiter.release(parked=True)
