"""Settings of the plain project, on the servers of the suite.

The suite's own settings have the admin, the example shop with its image library, and more; and its jobs load what the
tests of them need.
"""

from __future__ import annotations

from tests.settings import CACHES, DATABASES, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ
from tests.settings import PLEME_REDIS as _OF_THE_SUITE

__all__ = ["CACHES", "DATABASES", "DEFAULT_AUTO_FIELD", "SECRET_KEY", "USE_TZ"]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "pleme_redis_django",
    "tests.benchmarks.plain_project",
]
PLEME_REDIS = {"URL": _OF_THE_SUITE["URL"], "POOLS": {"default": {}}}
