"""Settings of the shop with Dramatiq and django-dramatiq."""

from __future__ import annotations

import os

APPS = ["django_dramatiq", "from_dramatiq"]
SETTINGS = {
    "DRAMATIQ_BROKER": {
        "BROKER": "dramatiq.brokers.redis.RedisBroker",
        "OPTIONS": {"url": os.environ["REDIS_URL"]},
        "MIDDLEWARE": [
            "dramatiq.middleware.AgeLimit",
            "dramatiq.middleware.TimeLimit",
            "dramatiq.middleware.Callbacks",
            "dramatiq.middleware.Retries",
            "django_dramatiq.middleware.DbConnectionsMiddleware",
        ],
    }
}
