"""What every row is made of: alternating rounds, fresh processes, and a server in another process."""

from __future__ import annotations

import atexit
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

from attrs import frozen

ROOT = Path(__file__).parents[1]

T = TypeVar("T")

Samples = tuple[float, ...]

_PATIENCE = 600
"""Seconds within which a process must end."""


class RowError(Exception):
    """A row cannot be measured, or what was measured is not what the row claims."""


@frozen
class Goal:
    """A bound of a line's judged figure: ``Goal(0.7)`` is at most 0.7, ``Goal(2, ">=")`` at least 2.

    Attributes:
        bound: the bound itself is good enough.
        sense: on which side of it a figure is good.
        alone: bounds our figure even where there is a peer; the ratio otherwise.
        stretch: a harder bound of the same sense, near a limit that was measured; None: there is none.

    """

    bound: float
    sense: Literal["<=", ">="] = "<="
    alone: bool = False
    stretch: float | None = None

    def met_by(self, figure: float) -> bool:
        """Whether a figure keeps the bound."""
        return self._keeps(figure, self.bound)

    def stretched_by(self, figure: float) -> bool:
        """Whether a figure keeps the harder bound too."""
        return self.stretch is not None and self.met_by(figure) and self._keeps(figure, self.stretch)

    def _keeps(self, figure: float, bound: float) -> bool:
        return figure <= bound if self.sense == "<=" else figure >= bound


@frozen(kw_only=True)
class Line:
    """One line of the table.

    Attributes:
        row: name of the row's module.
        case: what is measured, against what.
        unit: of the samples.
        ours: the package's figures, one a round.
        peer: the peer's, in the same order; empty where the figure stands for itself.
        best: which of the figures counts: the smallest of times, the largest of rates, of memory and of what should
            not happen at all.
        goal: bound of the ratio, or of our figure where there is no peer; None for information.

    """

    row: str
    case: str
    unit: str
    ours: Samples
    peer: Samples = ()
    best: Callable[[Iterable[float]], float] = min
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        """Our best figure over the peer's, None without a peer and where the peer's is 0."""
        theirs = self.best(self.peer) if self.peer else 0
        return self.best(self.ours) / theirs if theirs else None

    @property
    def alone(self) -> bool:
        """Whether our figure is judged, not the ratio."""
        return not self.peer or (self.goal is not None and self.goal.alone)

    @property
    def judged(self) -> float:
        """The figure that the goal bounds."""
        if self.alone:
            return self.best(self.ours)
        return math.inf if self.ratio is None else self.ratio

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest of the judged figure, round by round: how noisy the run was."""
        if self.alone:
            return min(self.ours), max(self.ours)
        rounds = [a / b if b else math.inf for a, b in zip(self.ours, self.peer, strict=True)]
        return min(rounds), max(rounds)

    @property
    def verdict(self) -> str:
        """``missed``, ``ok``, ``stretch`` where the harder bound is kept too, or ``info`` where there is no goal."""
        if self.goal is None:
            return "info"
        if self.goal.stretched_by(self.judged):
            return "stretch"
        return "ok" if self.goal.met_by(self.judged) else "missed"


Row = Callable[[int], Iterable[Line]]
"""Measures with at least so many rounds a figure."""


def alternate(rounds: int, *sides: Callable[[], T]) -> list[tuple[T, ...]]:
    """Call the sides in turns, forwards and backwards, ``rounds`` times after one that does not count."""
    for side in sides:
        side()
    taken: list[list[T]] = [[] for _ in sides]
    for number in range(rounds):
        for at in range(len(sides)) if number % 2 else reversed(range(len(sides))):
            taken[at].append(sides[at]())
    return [tuple(samples) for samples in taken]


async def quietest(batch: Callable[..., Awaitable[float]], *arguments: Any) -> float:
    """Return the smallest of ten short batches: other work on the machine seldom hits all of them."""
    return min([await batch(*arguments) for _ in range(10)])


def above(samples: Samples, base: Samples) -> Samples:
    """Return what the samples add to the smallest of a base, never less than nothing.

    The base of each round would not do: the minimum of differences falls where the base was disturbed.
    """
    floor = min(base)
    return tuple(max(0.0, one - floor) for one in samples)


def fresh(code: str, *arguments: str) -> Any:
    """Run Python code in a process of its own and return the JSON that it prints last.

    The processes of a run share one cache of bytecode, so that no side is compiled while it is measured. Raises
    RowError with the process's own words where it fails, and where it does not end within ten minutes.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env={**_environment(), "PYTHONPYCACHEPREFIX": _bytecode()},
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"a process of the benchmark did not end within {_PATIENCE} s"
        raise RowError(msg) from error
    if done.returncode:
        raise RowError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def in_fresh(function: Callable[..., Any], *arguments: str) -> Any:
    """Call a function of a module with texts, in a process of its own; return what it returns, by way of JSON."""
    code = (
        "import importlib, json, sys\n"
        f"function = getattr(importlib.import_module({function.__module__!r}), {function.__name__!r})\n"
        "print(json.dumps(function(*sys.argv[1:])))"
    )
    return fresh(code, *arguments)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Give the errors in a group and in the groups within it."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    group = cast("BaseExceptionGroup[BaseException]", error)
    for one in group.exceptions:
        yield from leaves(one)


def peer(module: str) -> ModuleType:
    """Import a peer; raise RowError where it is not installed."""
    try:
        with warnings.catch_warnings(record=True):  # of the packages that a peer uses, against its own filters
            return importlib.import_module(module)
    except ImportError as error:
        msg = f"the peer {module.partition('.')[0]} cannot be imported: {error}"
        raise RowError(msg) from error


@contextmanager
def running(module: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run a module as a process that talks over pipes; end it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints; raise RowError where it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        msg = "a process of the benchmark ended without a word"
        raise RowError(msg)
    return line


@contextmanager
def server() -> Generator[str]:
    """Run :mod:`benchmarks.server` in another process; give its URL."""
    with running("benchmarks.server") as process:
        yield line_of(process)


@contextmanager
def tls_server() -> Generator[tuple[str, str]]:
    """Run :mod:`benchmarks.server` over TLS; give its URL and the path of the PEM file of the CA to trust."""
    trustme = peer("trustme")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        trusted, own = Path(folder, "ca.pem"), Path(folder, "server.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(trusted)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
        with running("benchmarks.server", str(own)) as process:
            yield line_of(process), str(trusted)


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    return _status("VmHWM")


def memory() -> int:
    """Return the resident size of this process, in bytes."""
    return _status("VmRSS")


def _status(name: str) -> int:
    # Not ru_maxrss, which starts from the parent's size where a process is forked.
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError as error:
        msg = "memory is measured on Linux only: there is no /proc/self/status"
        raise RowError(msg) from error
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _environment() -> dict[str, str]:
    quirks = {"PYTHONDONTWRITEBYTECODE", "PYTHONDEVMODE", "PYTHONPROFILEIMPORTTIME", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in quirks}


@cache
def _bytecode() -> str:
    folder = tempfile.mkdtemp(prefix="benchmarks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
