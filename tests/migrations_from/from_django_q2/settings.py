"""Settings of the shop with django-q2 and its ORM broker."""

from __future__ import annotations

APPS = ["django_q", "from_django_q2"]
SETTINGS = {
    # retry is what brings a failed task back, and has to be longer than timeout.
    "Q_CLUSTER": {"name": "shop", "orm": "default", "workers": 1, "timeout": 2, "retry": 3, "max_attempts": 3}
}
