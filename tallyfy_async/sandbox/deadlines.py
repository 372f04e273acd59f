"""When tasks are due: deadlines of steps, counted from the launch or from another step (templates.md section 5)."""

from collections.abc import Iterable, Mapping

from attrs import define, field

from . import dates
from .records import JsonObject, Step

UNITS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
_DIRECTIONS = {"from": 1, "prior_to": -1}
_MOST = 100 * 366 * 86_400
"""Spans above a century are taken for nonsense."""
_END = 250_000_000_000
"""A moment in the year 9892."""


def span(deadline: JsonObject, directions: Mapping[str, int]) -> int | None:
    """Return the signed seconds of a deadline; None when a word or number in it means nothing to the server."""
    value, unit = deadline.get("value"), UNITS.get(str(deadline.get("unit")).removesuffix("s"))
    sign = directions.get(str(deadline.get("option")))
    if not isinstance(value, int) or unit is None or sign is None or abs(value) * unit > _MOST:
        return None
    return sign * value * unit


def moved(base: int, seconds: int) -> int | None:
    """Return the working day at a distance of a moment; None beyond the calendar of the server."""
    moment = base + seconds
    return dates.working_day(moment) if 0 <= moment < _END else None


def due(steps: Iterable[Step], start: int, fixed: Mapping[str, int | None]) -> dict[str, int | None]:
    """Return the deadline of each step's task by step id. `fixed` ones were chosen at the launch.

    A step may hang on another step's deadline, which is counted first; steps in a circle have none. Moments on days
    off move on to the next working day.
    """
    plan = _Plan(steps={step.id: step for step in steps}, start=start, fixed=fixed)
    return {step_id: plan.due(step_id) for step_id in plan.steps}


@define(kw_only=True)
class _Plan:
    """Deadlines as far as they are counted."""

    steps: dict[str, Step]
    start: int
    fixed: Mapping[str, int | None]
    found: dict[str, int | None] = field(factory=dict[str, int | None])

    def due(self, step_id: str) -> int | None:
        """Count the deadline of a step once; while it is being counted it is None, which ends circles."""
        if step_id not in self.steps or step_id in self.found:
            return self.found.get(step_id)
        self.found[step_id] = None
        if step_id not in self.fixed:
            self.found[step_id] = self._counted(self.steps[step_id].deadline)
        elif (moment := self.fixed[step_id]) is not None:
            self.found[step_id] = moved(moment, 0)
        return self.found[step_id]

    def _counted(self, rule: JsonObject) -> int | None:
        seconds, anchor = span(rule, _DIRECTIONS), rule.get("step")
        base = self.start if anchor == "start_run" else self.due(anchor) if isinstance(anchor, str) else None
        return None if seconds is None or base is None else moved(base, seconds)
