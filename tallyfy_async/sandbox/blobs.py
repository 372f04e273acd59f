"""The bytes of uploaded files, in memory or in a directory of the user's."""

from collections.abc import Iterable
from pathlib import Path

from .settings import Settings
from .world import Tenant


def _path(settings: Settings, tenant: Tenant, asset_id: str) -> Path | None:
    return Path(settings.files_directory) / tenant.id / asset_id if settings.files_directory else None


def keep(settings: Settings, tenant: Tenant, asset_id: str, content: bytes) -> None:
    """Store the bytes of a file."""
    path = _path(settings, tenant, asset_id)
    if path is None:
        tenant.blobs[asset_id] = content
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def load(settings: Settings, tenant: Tenant, asset_id: str) -> bytes | None:
    """Read the bytes of a file; None when they are gone."""
    path = _path(settings, tenant, asset_id)
    if path is None or asset_id in tenant.blobs:
        return tenant.blobs.get(asset_id)
    return path.read_bytes() if path.is_file() else None


def drop(settings: Settings, tenant: Tenant, asset_ids: Iterable[str]) -> None:
    """Delete the bytes of files for good."""
    for asset_id in asset_ids:
        tenant.blobs.pop(asset_id, None)
        path = _path(settings, tenant, asset_id)
        if path is not None:
            path.unlink(missing_ok=True)
