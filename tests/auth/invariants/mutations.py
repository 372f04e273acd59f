"""Copies of the package with one safeguard taken out, and what the tests say of them.

``python -m tests.auth.invariants.mutations`` prints which test notices which loss.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[3]
TESTS = [
    "test_copy.py",
    "tests/auth/test_manager.py",
    "tests/auth/test_manager_life.py",
    "tests/auth/test_renewal.py",
    "tests/auth/test_renewal_stores.py",
    "tests/auth/invariants/test_cancellation.py",
    "tests/auth/invariants/test_tenants.py",
]
_GREEN, _RED = 0, 1
_TOO_LONG = 120.0
_COPY = """
from pathlib import Path
import tallyfy_async

def test_asyncio_is_run_with_the_copy():
    assert Path(tallyfy_async.__file__).parent == Path(__file__).parent / "tallyfy_async"
"""


@frozen(kw_only=True)
class Mutation:
    """The loss of one safeguard: ``pattern``, which stands once in ``module``, becomes ``instead``."""

    module: str
    pattern: str
    instead: str

    def apply(self, package: Path) -> None:
        """Change the module of a copy; raise LookupError where the pattern does not stand there exactly once."""
        file = package / self.module
        source = file.read_text()
        if (found := source.count(self.pattern)) != 1:
            msg = f"{self.module} holds {found} times, not once: {self.pattern}"
            raise LookupError(msg)
        file.write_text(source.replace(self.pattern, self.instead))


_MANAGER, _RENEWAL = "auth/manager.py", "auth/renewal.py"
MUTATIONS = {
    "second look after the lock": Mutation(
        module=_MANAGER,
        pattern="if self._landed != arrived and self._settles(rejected):",
        instead="if False:",
    ),
    "shield of the renewal": Mutation(
        module=_MANAGER,
        pattern="run_in_child(partial(self._fly, rejected), shield=True)",
        instead="run_in_child(partial(self._fly, rejected), shield=False)",
    ),
    "generation compared before a refresh": Mutation(
        module=_MANAGER,
        pattern="if if_generation is not None and current > if_generation:",
        instead="if False:",
    ),
    "store read again under the lock": Mutation(
        module=_RENEWAL,
        pattern="self._renew(stored, _newest(stored, ours), ",
        instead="self._renew(stored, ours or stored, ",
    ),
    "rejected generation": Mutation(
        module=_RENEWAL,
        pattern="not (refused and refused.includes(record)) and ",
        instead="",
    ),
    "mark that a refresh token is on its way": Mutation(
        module=_RENEWAL,
        pattern="else record.mark(presented=True)",
        instead="else record",
    ),
    "respect for that mark": Mutation(
        module=_RENEWAL,
        pattern="if record.presented and not self.grant.replays:",
        instead="if False:",
    ),
    "compare-and-set of the new token": Mutation(
        module=_RENEWAL,
        pattern="if await self.store.save(self.key, token, expected=expected):",
        instead="if await self.store.save(\n"
        "                    self.key, token, expected=getattr(await self.store.load(self.key), 'generation', None)\n"
        "                ):",
    ),
    "second try to write a token": Mutation(
        module=_RENEWAL,
        pattern="late = self.unwritten\n",
        instead="late = None\n",
    ),
    "compare-and-set of the memory store": Mutation(
        module="auth/stores/memory.py",
        pattern="if (None if stored is None else stored.generation) != expected:",
        instead="if False:",
    ),
    "organization in the name of a line": Mutation(
        module="credentials.py",
        pattern="key = self.config.token_key(grant, organization)",
        instead="key = self.config.token_key(grant, '')",
    ),
}


def copy_project(place: Path) -> Path:
    """Copy the package and what its tests of tokens need; return the copied package."""
    ignored = shutil.ignore_patterns("__pycache__", "sandbox")
    package = shutil.copytree(ROOT / "tallyfy_async", place / "tallyfy_async", ignore=ignored)
    (place / "tests" / "auth").mkdir(parents=True)
    for name in ("pyproject.toml", "tests/conftest.py", *TESTS[1:], "tests/auth/line.py"):
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    shutil.copy(ROOT / "tests/auth/invariants/steps.py", place / "tests/auth/invariants/steps.py")
    (place / "test_copy.py").write_text(_COPY)
    return package


def noticed_by(place: Path) -> str | None:
    """Run the chosen tests against a copy, on asyncio; return the first test that fails, None where all pass.

    Raises RuntimeError where they cannot be run to an end.
    """
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", "asyncio", *TESTS]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, timeout=_TOO_LONG, check=False
    )
    if done.returncode == _GREEN:
        return None
    failed = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    if done.returncode != _RED or failed is None:
        msg = f"the tests of the copy did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return failed[1]


def trial(mutation: Mutation | None) -> str | None:
    """Return the test that notices a mutation; None where none does."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory).resolve()
        package = copy_project(place)
        if mutation is not None:
            mutation.apply(package)
        return noticed_by(place)


def _main() -> None:
    for name, mutation in {"nothing": None, **MUTATIONS}.items():
        sys.stdout.write(f"{name}: {trial(mutation)}\n")


if __name__ == "__main__":
    _main()
