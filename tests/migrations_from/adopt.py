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

from environments import environment

HERE = Path(__file__).resolve().parent
PINS = {
    "django-tasks-db": ["django==6.1.*", "django-tasks-db==0.13.*"],
    "django-ox": ["django==6.1.*", "django-ox==1.9.*"],
    "django-q2": ["django==5.2.*", "django-q2==1.11.*"],
}


def main() -> int:
    wanted = sys.argv[1:] or list(PINS)
    if unknown := [name for name in wanted if name not in PINS]:
        raise SystemExit(f"error: there is no {', '.join(unknown)}. Accepted: {', '.join(PINS)}.")
    pythons = {name: environment(f"from-{name}", ["typing_extensions", *PINS[name]]) for name in wanted}
    codes = [
        subprocess.run([pythons[name], str(HERE / "trial.py"), name], check=False).returncode
        for name in wanted
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
