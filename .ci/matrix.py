"""Run the test suite on the interpreters at hand and the Djangos that they support, in .venvs/.

    python3 .ci/matrix.py [--full] [--python 3.12] [--only py312-django60 ...] [--list] [-- PYTEST ARGUMENTS]

Without ``--full``, environments that cover every interpreter and every Django once; with it, every
pair. They have the newest dependencies, and one of the oldest interpreter has the lowest ones that
pyproject.toml accepts. What follows ``--`` goes to pytest. Standard library only.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
# Django's release notes: the Python versions that each series supports.
DJANGOS = {"5.2": PYTHONS, "6.0": PYTHONS[1:], "6.1": PYTHONS[1:]}
LOWEST = "lowest"
# As `make test` does; an -n among the arguments that follow wins.
IN_PARALLEL = ["--numprocesses", "auto", "--dist", "worksteal"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An interpreter, and the versions that are installed for it."""

    python: str
    """Its version: ``3.12``."""
    django: str
    """A series, or ``lowest``: the lowest version of every dependency."""
    interpreter: str
    """The program."""

    @property
    def name(self) -> str:
        installed = self.django if self.django == LOWEST else "django" + self.django.replace(".", "")
        return f"py{self.python.replace('.', '')}-{installed}"

    def pins(self) -> list[str]:
        return lowest_versions() if self.django == LOWEST else [f"django=={self.django}.*"]


def main() -> int:
    options, pytest_arguments = read_arguments(sys.argv[1:])
    found = list(find_environments(options.python or PYTHONS))
    environments = choose(found, full=options.full, only=options.only)
    if options.list or not environments:
        print("\n".join(each.name for each in environments) or nothing_matches(found, options.only))
        return 0 if environments else 1
    results = [(each.name, run(each, pytest_arguments)) for each in environments]
    for name, outcome in results:
        print(f"{name:24} {outcome}")
    return 0 if all(outcome.startswith("passed") for _, outcome in results) else 1


def read_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return our options, and what follows ``--``."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog="What follows -- goes to pytest: -- tests/jobs -x"
    )
    parser.add_argument("--full", action="store_true", help="every pair of an interpreter and a Django")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only with this interpreter")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these environments")
    parser.add_argument("--list", action="store_true", help="list the environments and stop")
    return parser.parse_args(arguments[:cut]), arguments[cut + 1 :]


def choose(found: Sequence[Environment], *, full: bool, only: Sequence[str] | None) -> list[Environment]:
    """Return the environments that are named, or every one, or those that cover each version once."""
    if only:
        return [each for each in found if each.name in only]
    return list(found) if full else covering(found)


def covering(found: Sequence[Environment]) -> list[Environment]:
    """Return, in order, environments in which every interpreter and every Django of ``found`` occurs.

    The oldest interpreter gets the oldest Django, the next one the next: what is old is used together.
    """
    chosen = [each for each in found if each.django == LOWEST]
    missing = {each.django for each in found} - {LOWEST}
    for python in dict.fromkeys(each.python for each in found):
        of_python = [each for each in found if each.python == python and each.django != LOWEST]
        new = [each for each in of_python if each.django in missing]
        chosen.append(new[0] if new else of_python[-1])
        missing.discard(chosen[-1].django)
    for django in missing:
        chosen.append([each for each in found if each.django == django][-1])
    return [each for each in found if each in chosen]


def nothing_matches(found: Sequence[Environment], only: Sequence[str] | None) -> str:
    return (
        f"No environment is named {' or '.join(only or ())}. There are: {', '.join(each.name for each in found)}."
        if found
        else "No interpreter matches."
    )


def find_environments(wanted: list[str]) -> Iterator[Environment]:
    """Yield each environment that this machine can run."""
    for python in wanted:
        if (interpreter := find_interpreter(python)) is None:
            print(f"No Python {python} here: skipped.", file=sys.stderr)
            continue
        djangos = [django for django, pythons in DJANGOS.items() if python in pythons]
        for django in [*([LOWEST] if python == PYTHONS[0] else []), *djangos]:
            yield Environment(python=python, django=django, interpreter=interpreter)


def find_interpreter(version: str) -> str | None:
    """Return a working interpreter of a version: on PATH, or among pyenv's."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [shutil.which(f"python{version}"), *map(str, reversed(pyenv))]:
        # A pyenv shim exists for versions that are not active, and fails when run.
        if (
            candidate
            and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return candidate
    return None


def lowest_versions() -> list[str]:
    """Return the lower bounds of the required dependencies as pins: ``redis>=8.0`` as ``redis==8.0``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = (re.match(r"([\w-]+)(?:\[.*?\])?>=([\w.]+)", each) for each in project["dependencies"])
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def run(environment: Environment, pytest_arguments: Sequence[str]) -> str:
    """Install and test one environment; return its outcome in words."""
    pins = environment.pins()
    print(f"== {environment.name}: {' '.join(pins)}", flush=True)
    folder = VENVS / environment.name
    python = str(folder / "bin" / "python")
    constraints = VENVS / f"{environment.name}.txt"
    VENVS.mkdir(exist_ok=True)
    constraints.write_text("\n".join(pins) + "\n")
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(constraints)]
    which_extras = [environment.interpreter, str(ROOT / ".ci" / "extras.py"), "test"]
    answer = subprocess.run(which_extras, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode != 0:
        return "FAILED (no Redis)"
    extras = answer.stdout.strip()
    steps = [
        ("venv", [environment.interpreter, "-m", "venv", str(folder)]),
        ("install", [*install, "--upgrade", "--editable", f"{ROOT}[{extras}]"]),
        ("tests", [python, "-m", "pytest", "-q", *IN_PARALLEL, *pytest_arguments]),
    ]
    started = time.monotonic()
    for step, command in steps:
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            return f"FAILED ({step})"
    return f"passed in {time.monotonic() - started:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
