"""In the place of its worker: runs what is ready, as a worker of this package does."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand

from pleme_redis_django.models import Job
from pleme_redis_django.testing import drain_jobs


class Command(BaseCommand):
    """Of its options, those that its suite gives and a drain understands."""

    stealth_options = (
        "batch",
        "interval",
        "startup_delay",
        "worker_id",
        "max_tasks",
        "queue_name",
        "exclude_queues",
    )

    def handle(self, **options: Any) -> None:
        named = options.get("queue_name") or "default"
        queues = None if named == "*" else named.split(",")
        if excluded := options.get("exclude_queues"):
            waiting = Job.objects.exclude(queue_name__in=excluded.split(","))
            queues = list(waiting.values_list("queue_name", flat=True).distinct())
        drain_jobs(limit=options.get("max_tasks") or 10_000, queue_names=queues)
