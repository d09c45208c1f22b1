"""Django settings of the test suite.

The addresses of the servers come from the environment (``DATABASE_URL``, ``REDIS_URL``,
``SQLITE_PATH``: how a test's subprocess finds them) or from ``use_servers()``, which conftest.py
calls once it has started them: pytest-django reads the settings before any conftest is imported.
"""

from __future__ import annotations

import json
import os
from typing import Any

from pleme_redis_django.testing.servers import database_settings
from pleme_redis_django.testing.servers.backing_services import redis_url_with_database

CACHE_REDIS_DATABASE = 1

SECRET_KEY = "only-for-tests"
USE_TZ = True
SMTP_HOST: str = "127.0.0.1"  # of the example project
SMTP_PORT: int = 25
ROOT_URLCONF = "tests.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "pleme_redis_django",
    "tests.workload",
    "example_project.shop",
    "example_project.support",
    "example_project.demo",
    "tests.faults",
]
MIDDLEWARE = [
    "tests.strict_policy.strict_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {},
    # The second backend of the store contract; writers queue up instead of failing (IMMEDIATE).
    # As for PostgreSQL, nothing waits for the disk: only a crash of the machine could tell.
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
    },
}
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
    }
}
PLEME_REDIS: dict[str, Any] = {
    "PRODUCT": "default",
    "POOLS": {
        "default": {},
        "email": {
            "model": "shop.EmailJob",
            "executor": "example_project.shop.email_executor.EmailExecutor",
            "store": "example_project.shop.email_store.EmailJobStore",
        },
    },
}
TASKS: dict[str, Any] = {
    "default": {
        "BACKEND": "pleme_redis_django.tasks_backend.JobBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"MAX_RETRIES": 0},
    },
    "other": {"BACKEND": "pleme_redis_django.tasks_backend.JobBackend", "QUEUES": []},
}
if os.environ.get("WITHOUT_TASKS"):
    # What the benchmark of tasks compares a project that has them with.
    TASKS = {"default": {"BACKEND": "tests.tasks_backend.other_backend.ElsewhereBackend", "QUEUES": []}}
# How a test gives the processes that it starts other settings than its own.
PLEME_REDIS_OVERRIDES: dict[str, Any] = json.loads(os.environ.get("PLEME_REDIS_OVERRIDES", "{}"))


def use_servers(*, database_url: str, redis_url: str, sqlite_path: str) -> None:
    """Point the settings at these servers, in place, so that it also works after Django has read them."""
    DATABASES["default"].update(database_settings(database_url))
    # A file, also for the test database: in memory, SQLite would share one connection between threads.
    DATABASES["sqlite"]["NAME"] = sqlite_path
    DATABASES["sqlite"].setdefault("TEST", {})["NAME"] = f"{sqlite_path}-test"
    CACHES["default"]["LOCATION"] = redis_url_with_database(redis_url, CACHE_REDIS_DATABASE)
    PLEME_REDIS["URL"] = redis_url


use_servers(
    database_url=os.environ.get("DATABASE_URL") or "postgresql:///pleme_redis_django",
    redis_url=os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0",
    sqlite_path=os.environ.get("SQLITE_PATH") or "tests.sqlite3",
)
PLEME_REDIS.update(PLEME_REDIS_OVERRIDES)
DATABASES["default"].update(json.loads(os.environ.get("DATABASE_OVERRIDES", "{}")))
