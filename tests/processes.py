"""What a subprocess of a test or a benchmark needs to see the same servers."""

from __future__ import annotations

import os

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
