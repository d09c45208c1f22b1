"""What a subprocess of a test or a benchmark needs: the same servers, and an end when its test has none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from django.db import connections
from psycopg.conninfo import make_conninfo

_KEYS = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def process_environment(redis_url: str) -> dict[str, str]:
    """Return the environment in which ``tests.settings`` finds this process's databases and ``redis_url``.

    Within a test these are the test databases; the subprocess sees only what is committed.
    """
    postgres = connections["default"].settings_dict
    given = {name: postgres[key] for name, key in _KEYS.items() if postgres[key]}
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": make_conninfo(**given),
        "REDIS_URL": redis_url,
        "SQLITE_PATH": str(connections["sqlite"].settings_dict["NAME"]),
    }


def ending_with_this_process(command: Sequence[str]) -> list[str]:
    """Return ``command`` so that it is killed with this process, as that of a worker of pytest-xdist is.

    For what the test has to end otherwise: a test run that is killed ends nothing. It needs ``setpriv``
    (util-linux), and that the thread which starts it stays, as the main thread does.
    """
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "KILL", "--", *command] if program else list(command)
