"""What every view needs: the organization, the settings, the moment; and PHP's habits."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from tallyfy_async.sandbox import dates
from tallyfy_async.sandbox.settings import DateSpelling, Settings
from tallyfy_async.sandbox.world import Tenant

SOON = 2 * 24 * 3600
"""A deadline this near counts as due soon. The sources give no number; this one is ours."""


@frozen(kw_only=True)
class Lens:
    """Render the records of one organization at one moment."""

    tenant: Tenant
    settings: Settings
    now: int
    for_guests: bool = False
    """Render what guests see: comments that are hidden from them stay out."""

    @property
    def stamp(self) -> tuple[object, ...]:
        """Return the key under which a rendered row stays good: no write, same minute, same settings."""
        return (self.tenant.version, self.now // 60, self.settings)

    def date(self, moment: int | None, spelling: DateSpelling) -> str | None:
        """Spell a moment as this record does, unless the settings force another spelling."""
        return dates.spell(moment, self.settings.date_spelling or spelling)

    def people(self, ids: Iterable[int]) -> list[Any]:
        """Render members in an owner list: bare ids, or objects as some samples show them."""
        if self.settings.owners_style == "ids":
            return list(ids)
        return [self._person(user_id) for user_id in ids]

    def metadata(self, noun: str, record_id: str) -> Any:
        """Render the custom field values of a record; guests see none."""
        if self.for_guests:
            return None
        return php_map(self.tenant.custom_values.get((noun, record_id), {}))

    def _person(self, user_id: int) -> dict[str, Any]:
        member = self.tenant.members.get(user_id)
        name = member.user.full_name if member else f"User {user_id} (Deleted)"
        return {"id": user_id, "full_name": name, "profile_pic": None}


def php_map(values: Mapping[str, Any]) -> Any:
    """Encode a map as PHP does: an empty one is an empty list."""
    return dict(values) or []


def php_flag(*, value: bool, turn: int) -> bool | int | str:
    """Spell a flag in one of the three ways that member payloads show: true, 1, "1"."""
    return (value, int(value), str(int(value)))[turn % 3]


def wrap(rows: Any) -> dict[str, Any]:
    """Wrap an include as Fractal does."""
    return {"data": rows}
