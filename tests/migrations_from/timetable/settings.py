"""A project with the scheduler named by SOURCE, or with AFTER this package alone; what the other has written stays."""

from __future__ import annotations

import os

from pleme_redis_django.testing.servers import database_settings

SECRET_KEY = "trial"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
_APPS = {"celery-beat": ["django_celery_beat"], "django-q2": ["django_q"], "rq-scheduler": []}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "pleme_redis_django", "timetable"]
if not os.environ.get("AFTER"):
    INSTALLED_APPS += _APPS[os.environ["SOURCE"]]
DATABASES = {"default": database_settings(os.environ["DATABASE_URL"])}
PLEME_REDIS = {"URL": os.environ["REDIS_URL"]}
Q_CLUSTER = {"name": "trial", "orm": "default"}
