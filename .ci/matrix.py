"""Run the test suite on every supported Django with the interpreters at hand, in .venvs/.

    python3 .ci/matrix.py [--python 3.12] [--only py312-django60 ...] [--list]

For each pair the newest dependencies are installed; on the oldest interpreter also the lowest ones
that pyproject.toml accepts. Standard library only.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
# Django's release notes: the Python versions that each series supports.
DJANGOS = {"5.2": PYTHONS, "6.0": PYTHONS[1:], "6.1": PYTHONS[1:]}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only with this interpreter")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="run only these environments")
    parser.add_argument("--list", action="store_true", help="list the environments and stop")
    options = parser.parse_args()
    found = find_environments(options.python or PYTHONS)
    environments = [each for each in found if not options.only or each[0] in options.only]
    if options.list or not environments:
        print("\n".join(name for name, _, _ in environments) or "No interpreter matches.")
        return 0 if environments else 1
    results = [(name, run(name, interpreter, pins)) for name, interpreter, pins in environments]
    for name, outcome in results:
        print(f"{name:24} {outcome}")
    return 0 if all(outcome.startswith("passed") for _, outcome in results) else 1


def find_environments(wanted: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (name, interpreter, version pins) of each environment that this machine can run."""
    for python in wanted:
        if (interpreter := find_interpreter(python)) is None:
            print(f"No Python {python} here: skipped.", file=sys.stderr)
            continue
        tag = "py" + python.replace(".", "")
        for django, pythons in DJANGOS.items():
            if python in pythons:
                yield f"{tag}-django{django.replace('.', '')}", interpreter, [f"django=={django}.*"]
        if python == PYTHONS[0]:
            yield f"{tag}-lowest", interpreter, lowest_versions()


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


def run(name: str, interpreter: str, pins: list[str]) -> str:
    """Install and test one environment; return its outcome in words."""
    print(f"== {name}: {' '.join(pins)}", flush=True)
    folder = VENVS / name
    python = str(folder / "bin" / "python")
    constraints = VENVS / f"{name}.txt"
    VENVS.mkdir(exist_ok=True)
    constraints.write_text("\n".join(pins) + "\n")
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(constraints)]
    which_extras = [interpreter, str(ROOT / ".ci" / "extras.py"), "test"]
    extras = subprocess.run(which_extras, capture_output=True, text=True, check=True).stdout.strip()
    steps = [
        ("venv", [interpreter, "-m", "venv", str(folder)]),
        ("install", [*install, "--upgrade", "--editable", f"{ROOT}[{extras}]"]),
        ("tests", [python, "-m", "pytest", "-q"]),
    ]
    started = time.monotonic()
    for step, command in steps:
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            return f"FAILED ({step})"
    return f"passed in {time.monotonic() - started:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
