"""Try ``manage.py importschedules`` on what the real schedulers write, each in an environment of its own.

    python3 tests/migrations_from/import_schedules.py [celery-beat django-q2 rq-scheduler]

Installs the other scheduler beside this package into .venvs/. Not part of the suite: it installs what the project does
not need. Standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from environments import environment

HERE = Path(__file__).resolve().parent
PINS = {
    "celery-beat": ["django==5.2.*", "celery==5.7.*", "django-celery-beat==2.9.*"],
    "django-q2": ["django==5.2.*", "django-q2==1.11.*", "croniter"],
    "rq-scheduler": ["django==5.2.*", "rq==3.0.*", "rq-scheduler==0.14.*"],
}


def main() -> int:
    wanted = sys.argv[1:] or list(PINS)
    if unknown := [name for name in wanted if name not in PINS]:
        raise SystemExit(f"error: there is no {', '.join(unknown)}. Accepted: {', '.join(PINS)}.")
    pythons = {name: environment(f"schedules-{name}", PINS[name]) for name in wanted}
    codes = [
        subprocess.run([pythons[name], str(HERE / "import_trial.py"), name], check=False).returncode
        for name in wanted
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
