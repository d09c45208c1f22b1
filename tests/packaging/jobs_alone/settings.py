"""Settings of a project of jobs alone; ``JOBS_ALONE_REDIS`` and ``JOBS_ALONE_APPS`` change it for comparison."""

from __future__ import annotations

import os

SECRET_KEY = "only-for-tests"
USE_TZ = True
ROOT_URLCONF = "tests.packaging.jobs_alone.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPS_OF_JOBS = ["pleme_redis_django", "tests.packaging.jobs_alone"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    *(os.environ["JOBS_ALONE_APPS"].split() if "JOBS_ALONE_APPS" in os.environ else APPS_OF_JOBS),
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("JOBS_ALONE_DATABASE", ":memory:"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
PLEME_REDIS = {"URL": os.environ.get("JOBS_ALONE_REDIS") or None}
