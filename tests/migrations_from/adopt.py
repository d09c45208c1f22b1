"""Try ``manage.py adopttasks`` on the real tables of other queues, each in an environment of its own.

    python3 tests/migrations_from/adopt.py [django-tasks-db django-ox django-q2]

Installs the other queue beside this package into .venvs/, has it enqueue a few thousand calls, moves them over with a
SIGKILL in between, and runs them. Not part of the suite: it installs what the project does not need. Standard library
only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / ".ci"))
import matrix  # noqa: E402 - of .ci, which is no package

PINS = {
    "django-tasks-db": ["django==6.1.*", "django-tasks-db==0.13.*"],
    "django-ox": ["django==6.1.*", "django-ox==1.9.*"],
    "django-q2": ["django==5.2.*", "django-q2==1.11.*"],
}


def main() -> int:
    wanted = sys.argv[1:] or list(PINS)
    if unknown := [name for name in wanted if name not in PINS]:
        raise SystemExit(f"error: there is no {', '.join(unknown)}. Accepted: {', '.join(PINS)}.")
    codes = [
        subprocess.run([environment(name), str(HERE / "trial.py"), name], check=False).returncode
        for name in wanted
    ]
    return max(codes)


def environment(source: str) -> str:
    """Install a queue beside this package, and return the interpreter that has both."""
    interpreter = matrix.find_interpreter("3.12") or matrix.find_interpreter("3.13")
    if interpreter is None:
        raise SystemExit("error: these queues need Python 3.12 or 3.13, and neither is here.")
    folder = matrix.VENVS / f"from-{source}"
    python = str(folder / "bin" / "python")
    extras = subprocess.run(
        [interpreter, str(matrix.ROOT / ".ci" / "extras.py"), "servers"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if not folder.exists():
        subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    package = ["--editable", f"{matrix.ROOT}[{extras}]"]
    subprocess.run([*install, *package, "typing_extensions", *PINS[source]], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
