"""Seats: administrators and standard members share the full pool, light ones have their own (identity.md section 6)."""

from .problems import Problem
from .settings import Settings
from .world import Tenant


def pool_of(role: str) -> str:
    """Return the pool that a role draws from: full or light."""
    return "light" if role == "Light" else "full"


def require(tenant: Tenant, settings: Settings, role: str) -> None:
    """Refuse one more member of a role for whom the pool has no seat: 409 SEAT_POOL_EXHAUSTED.

    Disabled members hold none, invited ones do.
    """
    pool = pool_of(role)
    most = settings.light_seats if pool == "light" else settings.full_seats
    taken = sum(row.holds_seat and pool_of(row.role) == pool for row in tenant.members.values())
    if most is not None and taken >= most:
        message = f"Your organization has reached its committed {pool} seat limit."
        error = {"code": "SEAT_POOL_EXHAUSTED", "message": message, "details": {"pool_type": pool}}
        raise Problem(409, {"error": error})
