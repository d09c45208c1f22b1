"""Check that every call was run once, by what the jobs have returned."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand

from pleme_redis_django import Job


class Command(BaseCommand):
    """``sums CALLS``."""

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("calls", type=int)

    def handle(self, *, calls: int, **_options: Any) -> None:
        returned = sorted(Job.objects.filter(status="COMPLETED").values_list("results", flat=True))
        assert returned == list(range(1, calls + 1))
