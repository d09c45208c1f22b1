"""Run the jobs of two tenants with django-tenants itself, which the suite's environment does not have.

Installs the clone and django-tenants into .venvs/tenants and runs tests/tenants/try_tenants.py there, on a real
PostgreSQL. Standard library only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import extras

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venvs" / "tenants"
PYTHON = FOLDER / "bin" / "python"
# 3.8 is the oldest that names Django 5.2 as supported.
DJANGO_TENANTS = "django-tenants>=3.8"


def main() -> None:
    if not PYTHON.exists():
        do(sys.executable, "-m", "venv", str(FOLDER))
    package = f"{ROOT}[{','.join(extras.extras('servers'))}]"
    do(
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--editable",
        package,
        DJANGO_TENANTS,
    )
    do(str(PYTHON), "-m", "tests.tenants.try_tenants")


def do(*command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if code := subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
