"""A project of Django alone, which uses PostgreSQL: what any worker process on it has in memory."""

from __future__ import annotations

SECRET_KEY = "only-for-benchmarks"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none"}}
