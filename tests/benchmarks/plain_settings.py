"""A project of nothing but this app and its jobs: what a worker process costs without the project's own code.

The suite's settings have the admin, the example shop with its image library, and more.
"""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - the same servers

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "pleme_redis_django",
    "tests.workload",
]
ROOT_URLCONF = __name__
urlpatterns: list[object] = []
PLEME_REDIS = {**PLEME_REDIS, "POOLS": {"default": {}}}  # noqa: F405 - of those settings
