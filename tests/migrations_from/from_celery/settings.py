"""Settings of the shop with Celery."""

from __future__ import annotations

import os

APPS = ["django_celery_beat", "from_celery"]
SETTINGS = {
    "CELERY_BROKER_URL": os.environ["REDIS_URL"],
    "CELERY_RESULT_BACKEND": os.environ["REDIS_URL"],
    "CELERY_TASK_ACKS_LATE": True,
    "CELERY_TASK_ROUTES": {"from_celery.tasks.remind": {"queue": "mail"}},
}
