"""A project that uses the queue named by SOURCE, or with AFTER this package; the table of the other stays."""

from __future__ import annotations

import os

from pleme_redis_django.testing.servers import database_settings

SECRET_KEY = "trial"
USE_TZ = True
_BACKENDS = {"django-tasks-db": "django_tasks_db.DatabaseBackend", "django-ox": "django_ox.backend.OxBackend"}
_APPS = {"django-tasks-db": "django_tasks_db", "django-ox": "django_ox", "django-q2": "django_q"}
_AFTER = bool(os.environ.get("AFTER"))
_SOURCE = os.environ["SOURCE"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "pleme_redis_django",
    "project",
    # Once the settings are changed it is no longer needed; but for its tables, which a project keeps a while.
    *([] if _AFTER and _SOURCE != "django-q2" else [_APPS[_SOURCE]]),
]
DATABASES = {"default": database_settings(os.environ["DATABASE_URL"])}
PLEME_REDIS = {"URL": None}
Q_CLUSTER = {"name": "trial", "orm": "default"}
if _SOURCE in _BACKENDS:
    _BACKEND = "pleme_redis_django.tasks_backend.JobBackend" if _AFTER else _BACKENDS[_SOURCE]
    TASKS = {"default": {"BACKEND": _BACKEND, "QUEUES": ["default", "mail"]}}
