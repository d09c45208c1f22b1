"""Settings of the example project. For a demo on loopback only: see SECRET_KEY and DEBUG.

``manage.py demo`` starts the servers and calls ``use_servers()``; the workers and the web server that
it starts as processes find them in the environment.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django

from pleme_redis_django.testing.servers import database_settings
from pleme_redis_django.testing.servers.backing_services import redis_url_with_database

SECRET_KEY = "demo-only-never-use-this-key-for-anything-else"  # noqa: S105 - a demo on loopback
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "pleme_redis_django",
    "example_project.shop",
    "example_project.support",
    "example_project.demo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
LOGIN_URL = "support:login"
LOGIN_REDIRECT_URL = "support:lobby"
ROOT_URLCONF = "example_project.urls"
ASGI_APPLICATION = "example_project.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = os.environ.get("DEMO_MEDIA_FOLDER", str(Path(__file__).parent.parent / "var" / "media"))

DATABASES: dict[str, dict[str, Any]] = {"default": {}}
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
    }
}

SMTP_HOST, SMTP_PORT = "127.0.0.1", 25
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
SMTP_TIMEOUT_SECONDS = 10
DEFAULT_FROM_EMAIL = "novaskyn <orders@novaskyn.example>"

# Scaled down, so that retries and the rescue of a killed worker's jobs can be watched. The
# defaults (retries after 60, 120, 240 s; a lease of 25 s) are right for production.
_WATCHABLE = {
    "poll_timeout": 5,
    "base_retry_delay": 2,
    "heartbeat_seconds": 1,
    "lease_seconds": 5,
    "lease_sweep_seconds": 1,
    "stale_job_threshold_seconds": 60,
    "stale_check_interval_seconds": 5,
    "grace_seconds": 10,
}
PLEME_REDIS: dict[str, Any] = {
    "PRODUCT": "novaskyn",
    # Who may listen to what. Nothing else is open; only the server publishes chat and orders.
    "CHANNELS": {
        "room:*": {"subscribe": "authenticated", "presence": "authenticated", "typing": "authenticated"},
        "order:*": {"subscribe": "authenticated"},
        "job:*": {"subscribe": "authenticated"},
        "viewing:*": dict.fromkeys(("subscribe", "publish", "presence"), "authenticated"),
    },
    # Against what the dashboard judges each queue: how long its ready jobs may wait, in seconds.
    "DASHBOARD_MAX_WAIT": {"default": 30, "images": 120, "*": 60},
    # For how long finished jobs are kept; failed ones for 90 days, as by default.
    "RETENTION": {"COMPLETED": timedelta(days=2), "QUEUES": {"images": {"COMPLETED": timedelta(hours=6)}}},
    # Whose progress and endings are published, as job:<id>.
    "JOB_EVENTS": ["example_project.support.jobs.prepare_order"],
    "POOLS": {
        # One product with a flood of jobs does not make the others wait.
        "default": {**_WATCHABLE, "fair": True},
        # A job model, an executor and a store of the project's own.
        "email": {
            **_WATCHABLE,
            "model": "shop.EmailJob",
            "executor": "example_project.shop.email_executor.EmailExecutor",
            "store": "example_project.shop.email_store.EmailJobStore",
        },
    },
}
# The shop's tasks of django.tasks are jobs of the default pool.
TASKS: dict[str, Any] = {
    "default": {
        "BACKEND": "pleme_redis_django.tasks_backend.JobBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"POOL": "default"},
    }
}


def use_servers(*, database_url: str, redis_url: str, smtp_address: str) -> None:
    """Point the settings at these servers, in place, so that it also works after Django has read them."""
    global SMTP_HOST, SMTP_PORT
    DATABASES["default"].update(database_settings(database_url))
    CACHES["default"]["LOCATION"] = redis_url_with_database(redis_url, 1)
    PLEME_REDIS["URL"] = redis_url
    smtp = urlsplit(f"//{smtp_address}")
    SMTP_HOST, SMTP_PORT = smtp.hostname or "127.0.0.1", smtp.port or 25


use_servers(
    database_url=os.environ.get("DATABASE_URL") or "postgresql:///novaskyn",
    redis_url=os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0",
    smtp_address=os.environ.get("DEMO_SMTP_ADDRESS") or "127.0.0.1:25",
)

if django.VERSION >= (6, 1):
    _smtp = {"host": SMTP_HOST, "port": SMTP_PORT, "timeout": SMTP_TIMEOUT_SECONDS}
    MAILERS = {"default": {"BACKEND": SMTP_BACKEND, "OPTIONS": _smtp}}
else:
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = SMTP_BACKEND, SMTP_HOST, SMTP_PORT
    EMAIL_TIMEOUT = SMTP_TIMEOUT_SECONDS
