"""Try the migration guides: a small shop that uses another queue, both side by side, and then this package.

    python3 tests/migrations_from/move.py [celery django-tasks-db rq huey django-q2 dramatiq procrastinate custom-queue]

Installs each queue beside this package into .venvs/. Not part of the suite: it installs what the project does not need.
Standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from environments import environment

HERE = Path(__file__).resolve().parent
PINS = {
    "celery": ["django==5.2.*", "celery[redis]==5.7.*", "django-celery-beat==2.9.*"],
    "django-tasks-db": ["django==6.1.*", "django-tasks-db==0.13.*"],
    "rq": ["django==5.2.*", "django-rq==4.2.*", "rq==3.0.*", "rq-scheduler==0.14.*"],
    "huey": ["django==5.2.*", "huey==3.5.*"],
    "django-q2": ["django==5.2.*", "django-q2==1.11.*"],
    "dramatiq": ["django==5.2.*", "django-dramatiq==0.15.*", "dramatiq[redis]==2.2.*"],
    "procrastinate": ["django==5.2.*", "procrastinate[django]==3.10.*"],
    "custom-queue": ["django==6.0.*"],
}


def main() -> int:
    wanted = sys.argv[1:] or list(PINS)
    if unknown := [name for name in wanted if name not in PINS]:
        raise SystemExit(f"error: there is no {', '.join(unknown)}. Accepted: {', '.join(PINS)}.")
    pythons = {name: environment(f"guide-{name}", PINS[name]) for name in wanted}
    codes = [
        subprocess.run([pythons[name], str(HERE / "move_trial.py"), name], check=False).returncode
        for name in wanted
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
