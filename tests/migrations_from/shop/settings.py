"""The shop before, while and after it moves: PHASE says which, and FROM the queue that it leaves."""

from __future__ import annotations

import os
from importlib import import_module

from pleme_redis_django.testing.servers import database_settings

PHASE = os.environ["PHASE"]
FROM = os.environ["FROM"]
SECRET_KEY = "trial"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database_settings(os.environ["DATABASE_URL"])}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
if PHASE != "before":
    INSTALLED_APPS += ["pleme_redis_django"]
    PLEME_REDIS = {"URL": os.environ["REDIS_URL"], "POOLS": {"default": {"base_retry_delay": 1}}}
if PHASE != "after":
    _theirs = import_module(f"from_{FROM}.settings")
    INSTALLED_APPS += _theirs.APPS
    globals().update(_theirs.SETTINGS)
if FROM == "django_tasks_db":
    # Its tasks stay what they are: only the backend is another.
    INSTALLED_APPS += ["from_django_tasks_db"] if PHASE == "after" else []
    if PHASE != "before":
        TASKS = {
            "default": {
                "BACKEND": "pleme_redis_django.tasks_backend.JobBackend",
                "QUEUES": ["default", "mail"],
            }
        }
