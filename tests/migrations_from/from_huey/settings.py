"""Settings of the shop with Huey."""

from __future__ import annotations

import os

APPS = ["huey.contrib.djhuey", "from_huey"]
SETTINGS = {
    "HUEY": {
        "name": "shop",
        "huey_class": "huey.RedisHuey",
        "immediate": False,
        "connection": {"url": os.environ["REDIS_URL"]},
    }
}
