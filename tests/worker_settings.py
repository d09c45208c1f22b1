"""Settings of the worker processes that tests start: the suite's, without what only web pages need.

Each of hundreds of processes imports what is installed here: the admin and the example shop would be a fifth
of what it takes to start.
"""

from __future__ import annotations

from typing import Any

from tests.settings import *  # noqa: F403 - the same settings

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "pleme_redis_django",
    "tests.workload",
    "tests.faults",
]
MIDDLEWARE: list[str] = []
TEMPLATES: list[dict[str, Any]] = []
ROOT_URLCONF = __name__
urlpatterns: list[Any] = []
