"""Files: what may be stored and what it belongs to (templates.md section 11)."""

from pathlib import PurePath

from . import blobs
from .multipart import Part
from .problems import Invalid, invalid, required, resource_not_found
from .records import Asset, Checklist, Member, Run, Task
from .settings import Settings
from .world import Tenant, World

EXTENSIONS = (
    *("xlsx", "xls", "pptx", "docx", "ppt", "doc", "rtf", "pdf", "txt", "mpga", "mov", "qt", "mp4", "webm", "jpg"),
    *("jpeg", "gif", "png", "ai", "psd", "zip", "xml", "xps", "dwg", "csv", "tif", "bmp", "oft"),
)
SUBJECTS = ("Checklist", "Run", "Task")
_KIB = 1024


def upload(world: World, tenant: Tenant, me: Member, form: dict[str, Part], settings: Settings) -> Asset:
    """Store a file. The part is called `name`; a refusal comes before anything is stored.

    The file is in no field yet: the asset has to be written into taskdata or prerun.
    """
    words = {name: part.text for name, part in form.items() if part.filename is None}
    file = form.get("name")
    absent = [name for name in ("subject_type", "subject_id", "uploaded_from") if not words.get(name)]
    if file is None:
        absent.insert(0, "name")
    if file is None or absent:
        raise required(*absent)
    filename = _checked(file, settings.max_upload)
    _check_subject(tenant, words["subject_type"], words["subject_id"])
    if words.get("source", "local") not in {"local", "url"}:
        raise invalid("source", "The selected source is invalid.")
    asset = Asset(
        id=world.new_id(),
        filename=filename,
        content_type=file.content_type,
        size=len(file.content),
        version=_version(tenant, words["subject_id"], words["uploaded_from"], filename),
        uploaded_from=words["uploaded_from"],
        uploaded_at=world.now(),
        uploaded_by=me.user.id,
        subject_type=words["subject_type"],
        subject_id=words["subject_id"],
        step_id=words.get("step_id"),
        checklist_id=words.get("checklist_id"),
        source=words.get("source", "local"),
        system=words.get("system"),
    )
    blobs.keep(settings, tenant, asset.id, file.content)
    tenant.assets[asset.id] = asset
    tenant.changed()
    return asset


def _checked(file: Part, most: int) -> str:
    """Return the name of an acceptable file."""
    if not file.filename:
        raise invalid("name", "The name must be a file.")
    if PurePath(file.filename).suffix.lower().removeprefix(".") not in EXTENSIONS:
        raise invalid("name", f"The name must be a file of type: {', '.join(EXTENSIONS)}.")
    if len(file.content) > most:
        raise invalid("name", f"The name may not be greater than {most // _KIB} kilobytes.")
    return file.filename


def _check_subject(tenant: Tenant, kind: str, subject_id: str) -> None:
    if kind not in SUBJECTS:
        raise invalid("subject_type", "The selected subject type is invalid.")
    if kind == "Checklist":
        found: Checklist | Run | Task | None = tenant.checklists.get(subject_id)
    else:
        found = tenant.runs.get(subject_id) if kind == "Run" else tenant.tasks.get(subject_id)
    if found is None or found.archived_at is not None:
        raise Invalid({"subject_id": ["Subject not found"]})


def _version(tenant: Tenant, subject_id: str, place: str, filename: str) -> int:
    """Count the copies of a file in one place; every upload is a new one."""
    wanted = (subject_id, place, filename)
    rows = (row for row in tenant.assets.values() if (row.subject_id, row.uploaded_from, row.filename) == wanted)
    return 1 + max((row.version for row in rows), default=0)


def find(tenant: Tenant, asset_id: str) -> Asset:
    """Find a live file or raise a 404."""
    asset = tenant.assets.get(asset_id)
    if asset is None or asset.archived_at is not None:
        raise resource_not_found()
    return asset


def archive(world: World, tenant: Tenant, asset: Asset) -> None:
    """Archive the record of a file; its bytes stay where they are."""
    asset.archived_at = world.now()
    tenant.changed()


def delete(tenant: Tenant, asset: Asset, settings: Settings) -> None:
    """Delete a file and its record for good. Answers that name it keep naming it."""
    del tenant.assets[asset.id]
    blobs.drop(settings, tenant, [asset.id])
    tenant.changed()
