"""Settings of the shop with RQ and django-rq."""

from __future__ import annotations

import os

APPS = ["django_rq", "from_rq"]
SETTINGS = {"RQ_QUEUES": {name: {"URL": os.environ["REDIS_URL"]} for name in ("default", "mail")}}
