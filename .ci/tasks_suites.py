"""Run the suites of others against JobBackend: Django's tests/tasks and that of django-tasks-db, on each Django.

    python3 .ci/tasks_suites.py [--only 5.2 6.1]

Their sources are downloaded as sdists into .venvs/ and rewritten there, so that they name this backend; nothing of
them is kept here. What fails is compared with tasks_suites/deviations.toml, where each has its reason: a failure that
is not listed makes the command fail, and so does a listed test that passes. Real PostgreSQL. Standard library only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matrix

HERE = Path(__file__).resolve().parent / "tasks_suites"
SDISTS = matrix.VENVS / "sdists"
# The backport of 5.2 has no copy of Django's suite: that of 6.1, whose API it has, is run with its imports.
DJANGO_OF_SUITE = {"5.2": "6.1", "6.0": "6.0", "6.1": "6.1"}
DJANGO_TASKS_DB = "django-tasks-db==0.13.0"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A test of others that fails here, and why it may."""

    test: str
    """``package.module.Class.method``, as the suite names it; a whole class is not run."""
    djangos: tuple[str, ...]
    reason: str


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(DJANGO_OF_SUITE), help="only on these Djangos")
    options = parser.parse_args()
    deviations = read_deviations()
    verdicts = [check(django, deviations) for django in options.only or DJANGO_OF_SUITE]
    return 0 if all(verdicts) else 1


def read_deviations() -> list[Deviation]:
    """Return the table, each of whose entries has a reason."""
    listed = tomllib.loads((HERE / "deviations.toml").read_text())["deviation"]
    return [
        Deviation(test=one["test"], djangos=tuple(one.get("djangos", DJANGO_OF_SUITE)), reason=one["reason"])
        for one in listed
    ]


def check(django: str, deviations: Sequence[Deviation]) -> bool:
    """Run both suites on one Django, print what came of it, and return whether that was expected."""
    python = environment(django)
    outcomes = run_suites(django, python)
    expected = {one.test: one.reason for one in deviations if django in one.djangos}
    return report(django, outcomes, expected)


def report(django: str, outcomes: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    """Print the counts, the deviations and what was not expected; return whether nothing was."""
    failed = {test for test, outcome in outcomes.items() if outcome == FAILED}
    new = sorted(failed - expected.keys())
    mended = sorted(test for test in expected if outcomes.get(test) == PASSED)
    gone = sorted(test for test in expected if test.count(".") > 2 and test not in outcomes)
    for suite in ("tasks", "tests"):
        of_suite = [outcome for test, outcome in outcomes.items() if test.startswith(f"{suite}.")]
        name = "Django's tests/tasks" if suite == "tasks" else DJANGO_TASKS_DB
        counts = ", ".join(
            f"{of_suite.count(outcome)} {outcome}"
            for outcome in (PASSED, FAILED, SKIPPED)
            if outcome in of_suite
        )
        print(f"Django {django}, {name}: {len(of_suite)} tests: {counts}")
    for test in sorted(failed & expected.keys()):
        print(f"  deviation  {test}: {expected[test]}")
    for test in new:
        print(f"  NEW        {test} fails, and tasks_suites/deviations.toml does not say why")
    for test in mended:
        print(f"  MENDED     {test} passes: take it out of tasks_suites/deviations.toml")
    for test in gone:
        print(f"  GONE       {test} was not run: take it out of tasks_suites/deviations.toml")
    return bool(outcomes) and not (new or mended or gone)


def environment(django: str) -> str:
    """Install the package with one Django into an environment of .venvs/, and return its interpreter."""
    supported = [python for python in matrix.DJANGOS[django] if matrix.find_interpreter(python)]
    if not supported:
        raise SystemExit(
            f"error: there is no Python here for Django {django}. Install one of {matrix.DJANGOS[django]}."
        )
    interpreter = matrix.find_interpreter(supported[0])
    assert interpreter
    folder = matrix.VENVS / f"tasks-django{django.replace('.', '')}"
    python = str(folder / "bin" / "python")
    if not folder.exists():
        do([interpreter, "-m", "venv", str(folder)])
    pins = [f"django=={django}.*", *(["django-tasks==0.12.*"] if django == "5.2" else [])]
    extras = subprocess.run(
        [interpreter, str(matrix.ROOT / ".ci" / "extras.py"), "servers"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    do([*pip(python), "install", "-q", "--editable", f"{matrix.ROOT}[{extras}]", *pins, "typing_extensions"])
    return python


def pip(python: str) -> list[str]:
    return [python, "-m", "pip", "--disable-pip-version-check"]


def do(command: Sequence[str]) -> None:
    if subprocess.run(command, cwd=matrix.ROOT, check=False).returncode != 0:
        raise SystemExit(f"error: {' '.join(command)} failed.")


def run_suites(django: str, python: str) -> dict[str, str]:
    """Return what became of each test, by its name."""
    sources = {
        "django": unpacked(python, f"django=={DJANGO_OF_SUITE[django]}.*"),
        "django_tasks_db": unpacked(python, DJANGO_TASKS_DB),
    }
    folder = SDISTS / f"suites-{django}"
    results = folder / "results.json"
    command = [python, str(HERE / "run.py"), str(folder), *(str(path) for path in sources.values())]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=matrix.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    (folder / "output.txt").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise SystemExit(f"error: the suites could not be run on Django {django}:\n{done.stderr[-3000:]}")
    found: dict[str, str] = json.loads(results.read_text())
    return found


def unpacked(python: str, requirement: str) -> Path:
    """Return the folder of the newest sdist that fits, downloaded unless it is there."""
    if not (known := list(fitting(requirement))):
        SDISTS.mkdir(parents=True, exist_ok=True)
        do(
            [
                *pip(python),
                "download",
                "-q",
                "--no-deps",
                "--no-binary",
                ":all:",
                # Only its tests are taken, and the oldest Python of 5.2 is older than those of 6.1.
                "--ignore-requires-python",
                "--dest",
                str(SDISTS),
                requirement,
            ]
        )
        for archive in SDISTS.glob("*.tar.gz"):
            with tarfile.open(archive) as tar:
                tar.extractall(SDISTS, filter="data")
        known = list(fitting(requirement))
    return max(known)


def fitting(requirement: str) -> Iterator[Path]:
    name, _, version = requirement.partition("==")
    for folder in SDISTS.glob(f"{name.replace('-', '[-_]')}-{version}"):
        if folder.is_dir():
            yield folder


if __name__ == "__main__":
    sys.exit(main())
