"""Settings of the shop with django-tasks-db."""

from __future__ import annotations

APPS = ["django_tasks_db", "from_django_tasks_db"]
SETTINGS = {
    "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "mail"]}},
}
