"""A template in the hands of somebody who may edit it."""

from attrs import frozen

from .activity import activity
from .problems import Problem, forbidden, resource_not_found
from .records import Checklist, Member, Step
from .world import Tenant, World


@frozen(kw_only=True)
class Desk:
    """What every change of a template needs."""

    world: World
    tenant: Tenant
    me: Member
    checklist: Checklist

    def touch(self, verb: str, text: str, step: Step | None = None) -> None:
        """Note an edit, of a step when given: in draft mode the template waits for being published again."""
        self.checklist.updated_at, self.checklist.last_updated_by = self.world.now(), self.me.user.id
        if self.checklist.dual_version_enabled:
            self.checklist.is_published_state = False
        self.log(verb, text, step)
        self.tenant.changed()

    def log(
        self, verb: str, text: str, step: Step | None = None, *, field: str | None = None, old: object = None
    ) -> None:
        """Add to the activity feed of the template."""
        mine = ("checklist", self.checklist.id)
        record, parent = (mine, None) if step is None else (("step", step.id), mine)
        who, now = self.me.user.id, self.world.now()
        activity(self.tenant, verb, record, text, now=now, actor=who, parent=parent, field=field, old=old)

    def step(self, step_id: object) -> Step:
        """Find a step of the template or raise a 404."""
        return find_step(self.checklist, step_id)


def find_step(checklist: Checklist, step_id: object) -> Step:
    """Find a step of a template or raise a 404."""
    for step in checklist.steps:
        if step.id == step_id:
            return step
    raise resource_not_found()


def allow(me: Member) -> None:
    """Refuse Light members: they do not create, edit, clone or import templates."""
    if me.is_light:
        raise forbidden("You do not have permission to edit templates.")


def refused(message: str) -> Problem:
    """Refuse to delete what something else depends on."""
    return Problem(403, {"error": True, "message": message})
