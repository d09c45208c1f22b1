"""Enqueue with the queue of the settings: calls that are due, some for later, and some that nobody can run."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from django.core.management import BaseCommand
from django.utils import timezone


class Command(BaseCommand):
    """``fill CALLS LATER BAD``."""

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("numbers", nargs=3, type=int)

    def handle(self, *, numbers: list[int], **_options: Any) -> None:
        calls, later, bad = numbers
        if os.environ["SOURCE"] == "django-q2":
            from django_q.tasks import async_task

            for number in range(calls):
                async_task("project.jobs.add", number, right=1)
            for _ in range(bad):
                async_task("project.jobs.gone", 1)
            return
        from project.tasks import add

        for number in range(calls):
            add.using(queue_name="mail" if number % 2 else "default").enqueue(number, right=1)
        for _ in range(later):
            add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)
        for _ in range(bad):
            add.enqueue(1, unknown=2)
