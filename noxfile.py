"""Every check of the project: ``nox -l`` lists them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
# More processes than processors, because tests wait: for sockets, and for processes of their own.
PARALLEL = ("--numprocesses", str(max(2, 3 * (os.cpu_count() or 1) // 2)))
# What is proved once and for all is proved on the oldest Python.
REPEATED = ("-m", "not once", "--ignore=tests/sandbox/test_schemathesis.py")
EVERYTHING = ",".join(sorted(PROJECT["project"]["optional-dependencies"]))

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "typing"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group."""
    return nox.project.dependency_groups(PROJECT, name)


def lowest_versions() -> list[str]:
    """Return every declared dependency, extras included, pinned to its lower bound."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = [*PROJECT["project"]["dependencies"], *(entry for extra in extras for entry in extra)]
    return sorted({re.sub(r">=([\w.]+).*", r"==\1", entry) for entry in declared})


@nox.session
def demo(session: nox.Session) -> None:
    """Run the main job on the embedded sandbox."""
    session.install(".[sandbox]")
    session.run("python", "-m", "tallyfy_async", "demo", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on asyncio and trio; the oldest Python measures what those on asyncio cover."""
    session.install("-e", f".[{EVERYTHING}]", *group("tests"))
    chosen = [*PARALLEL, *session.posargs]
    if session.python != PYTHONS[0]:
        session.run("pytest", *REPEATED, *chosen)
        return
    codes = [0, 5] if session.posargs else [0]
    session.run("pytest", *REPEATED, "-k", "not trio", "--cov", "--cov-report=", *chosen, success_codes=codes)
    session.run("coverage", "report", *([] if session.posargs else ["--fail-under=95"]))
    session.run("pytest", *REPEATED, "-k", "trio", *chosen, success_codes=codes)
    session.run("pytest", "-m", "once", *chosen, success_codes=codes)


@nox.session(python=PYTHONS[0])
def tests_mindeps(session: nox.Session) -> None:
    """Run the tests with the lowest declared versions of every dependency."""
    # schemathesis, which only proves things once, wants newer versions than our lowest ones.
    needed = [one for one in group("tests") if not one.startswith("schemathesis")]
    session.install("-e", ".", *lowest_versions(), *needed)
    session.run("python", "-m", "pip", "list", external=True, success_codes=[0, 1])
    session.run("pytest", *REPEATED, *PARALLEL, *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Log in with a real browser: Chromium, installed where Debian's package tools permit it."""
    if shutil.which("chromium") is None and shutil.which("apt-get") is not None:
        session.run("apt-get", "update", "-qq", external=True, success_codes=[0, 100])
        session.run("apt-get", "install", "-y", "-qq", "chromium", external=True)
    session.install("-e", ".[file,sandbox]", *group("browser"))
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session(python=PYTHONS[0])
def examples(session: nox.Session) -> None:
    """Run the examples on the sandbox, half a minute of load on the service included."""
    session.install("-e", ".[redis,sandbox,speed,trio]", *group("examples"))
    session.run("pytest", "tests/examples", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and who imports whom."""
    session.install("-e", f".[{EVERYTHING}]", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with two checkers, the public API from a user's side included."""
    session.install("-e", f".[{EVERYTHING}]", *group("typing"))
    session.run("mypy", "--strict", "tallyfy_async", "tests/typing")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation's site; a warning, or a page that needs another host, fails it."""
    session.install("-e", f".[{EVERYTHING}]", *group("docs"))
    site = session.posargs[0] if session.posargs else str(Path(session.create_tmp()) / "site")
    session.run("mkdocs", "build", "--strict", "--site-dir", site, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers and print the table of ratios."""
    session.install(f".[{EVERYTHING}]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def bench_gate(session: nox.Session) -> None:
    """Compare quick rows with the committed baseline, by their ratios to peers."""
    session.install(f".[{EVERYTHING}]", *group("bench"))
    session.run("python", "-m", "benchmarks", "gate", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist; install each into an empty environment and use it without extras."""
    session.install("build")
    artifacts = Path(session.create_tmp()) / "dist"
    shutil.rmtree(artifacts, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(artifacts), ".")
    for archive in sorted(artifacts.iterdir()):
        empty = Path(session.create_tmp()) / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        session.run("python", "-m", "venv", str(empty))
        python = str((empty / ("Scripts" if os.name == "nt" else "bin") / "python").absolute())
        session.run(python, "-m", "pip", "install", "--quiet", str(archive), external=True)
        with session.chdir(session.create_tmp()):
            check_bare(session, python)


def check_bare(session: nox.Session, python: str) -> None:
    """Use an installation that has no extras."""
    session.run(python, "-c", "import tallyfy_async as t; print(t.__version__, t.TallyfyClient('x'))", external=True)
    session.run(python, "-m", "tallyfy_async", "--help", external=True)
    session.run(python, "-m", "tallyfy_async", "operations", "--json", external=True, silent=True)
    for module, arguments in (("tallyfy_async", ["demo"]), ("tallyfy_async.sandbox", [])):
        said = session.run(python, "-m", module, *arguments, external=True, silent=True, success_codes=[2])
        if 'pip install "tallyfy-async[sandbox]"' not in str(said):
            session.error(f"python -m {module} does not name the missing extra, but says: {said}")
