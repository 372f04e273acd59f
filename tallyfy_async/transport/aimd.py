"""How wide to go: the control law that adapts the number of exchanges at once. Pure: it is told the time.

The width grows by one for as many successes as it is wide, and is halved in two cases.

- The server refuses (429): once an episode, replies to requests sent before the halving do not count again.
- Replies take far longer than they usually do, which is how a server looks whose queue we fill. A halving for this is a
  *trial*: when half as many at once are not served clearly faster, the queue is not ours, the width is given back, and
  what is usual is learned anew. So neither a slow day, nor larger payloads, nor a busy processor narrows it for long.

What is compared is the second fastest of sixteen replies of one operation with the same figure at its best: a few slow
replies say nothing, and operations that are slow by nature are measured by themselves.
"""

from __future__ import annotations

from attrs import Factory, define, field

_ROUND = 16
_RANK = 1
_WARY = 1.5
_INFLATED = 2.0
_NOTICEABLE = 0.1
"""Seconds. A smaller excess is noise of processors and lines, or not worth a wait of our own."""
_HELPED = 0.75
_PATIENCE = 300.0
"""Seconds after which a trial asks whether somewhat slow replies are our doing: the width does not grow meanwhile."""
_TRIAL_TIME = 60.0
"""Seconds after which replies to other operations end a trial whose own are not enough yet."""


@define(eq=False)
class _Series:
    """Replies of one operation, in rounds of requests that were sent after the round began."""

    since: float
    renewed: float
    latencies: list[float] = field(factory=list[float])
    busy: int = 0
    usual: float = float("inf")
    inflated: int = 0
    wary: bool = False

    def begin(self, now: float) -> None:
        self.since, self.busy = now, 0
        self.latencies.clear()

    def compare(self, low: float) -> None:
        """Compare a round with what is usual; a better one becomes it."""
        self.usual = min(self.usual, low)
        noticeable = low - self.usual > _NOTICEABLE
        self.wary = noticeable and low > _WARY * self.usual
        self.inflated = self.inflated + 1 if noticeable and low > _INFLATED * self.usual else 0

    def relearn(self, low: float, now: float) -> None:
        self.usual, self.renewed, self.inflated, self.wary = low, now, 0, False


@define(eq=False)
class _Trial:
    key: str
    low: float
    width: float
    begun: float


@define(eq=False)
class ControlLaw:
    """The width, between 1 and ``slots``; it starts at ``slots``. Times in seconds of one monotonic clock."""

    slots: int
    _width: float = field(init=False, default=Factory(lambda self: float(self.slots), takes_self=True))
    _narrowed_at: float = field(init=False, default=float("-inf"))
    _series: dict[str, _Series] = field(init=False, factory=dict[str, _Series])
    _trial: _Trial | None = field(init=False, default=None)

    @property
    def width(self) -> int:
        """How many exchanges may run at once."""
        return int(self._width)

    def succeeded(self, key: str | None, began: float, latency: float, busy: int) -> None:
        """Learn from a success: of which operation, when it was sent, how long it took, how many ran at once.

        Without ``key`` the latency says nothing, as for uploads, whose time is that of their size.
        """
        if self._trial is not None and self._trial.key != key:
            self._give_up(self._trial, began + latency)
        if key is None:
            self._widen()
            return
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(since=began, renewed=began)
        if not series.wary:
            self._widen()
        if began >= series.since:
            series.latencies.append(latency)
            series.busy = max(series.busy, busy)
            if len(series.latencies) >= _ROUND:
                self._judge(key, series, began + latency)

    def refused(self, began: float, now: float) -> None:
        """Learn that the server refused a request sent at ``began`` for being one too many."""
        if began > self._narrowed_at:
            self._trial = None
            self._narrow(self._width, now)

    def _widen(self) -> None:
        if self._width < self.slots and self._trial is None:
            self._width = min(float(self.slots), self._width + 1.0 / self._width)

    def _narrow(self, width: float, now: float) -> None:
        self._width = max(1.0, width / 2)
        self._narrowed_at = now
        for series in self._series.values():
            series.begin(now)

    def _judge(self, key: str, series: _Series, now: float) -> None:
        low, busy = sorted(series.latencies)[_RANK], series.busy
        series.begin(now)
        trial = self._trial
        if trial is not None:
            if trial.key == key:
                self._end_trial(trial, series, low, now)
            return
        series.compare(low)
        if series.inflated >= 2 or (series.wary and now - series.renewed >= _PATIENCE):
            self._begin_trial(key, series, low, busy, now)

    def _begin_trial(self, key: str, series: _Series, low: float, busy: int, now: float) -> None:
        """Halve what was in use; where that was one at a time, there is no queue of ours to shorten."""
        used = min(int(self._width), busy)
        if used <= 1:
            series.relearn(low, now)
            return
        self._trial = _Trial(key, low, self._width, now)
        self._narrow(used, now)

    def _give_up(self, trial: _Trial, now: float) -> None:
        """Give the width of a trial back whose operation is called too seldom to tell; it fills no queue either."""
        if now - trial.begun >= _TRIAL_TIME:
            self._trial = None
            self._width = max(self._width, trial.width)
            self._series[trial.key].relearn(trial.low, now)

    def _end_trial(self, trial: _Trial, series: _Series, low: float, now: float) -> None:
        self._trial = None
        if low <= _HELPED * trial.low:
            series.renewed = now
            series.compare(low)
            series.inflated = 0
        else:
            self._width = max(self._width, trial.width)
            series.relearn(low, now)
