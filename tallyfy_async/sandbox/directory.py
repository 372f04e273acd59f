"""Guests across organizations: one e-mail is one person (identity.md section 7)."""

import hashlib
import time
from collections.abc import Callable

from attrs import define, field

from .records import Guest


@define(kw_only=True, eq=False)
class Directory:
    """Hand out the records of guests: the id is the same in every organization, the code of the link is not."""

    clock: Callable[[], float] = time.time
    ids: dict[str, int] = field(factory=dict[str, int])
    last: int = 4520

    def guest(self, organization: str, email: str) -> Guest:
        """Make the record of a guest in one organization."""
        if email not in self.ids:
            self.last += 1
            self.ids[email] = self.last
        return Guest(id=self.ids[email], email=email, code=_code(organization, email), created_at=int(self.clock()))


def _code(organization: str, email: str) -> str:
    """Return 40 characters, the same for the same seed."""
    return "MITx" + hashlib.sha256(f"{organization} {email}".encode("utf-8", "surrogatepass")).hexdigest()[:36]
