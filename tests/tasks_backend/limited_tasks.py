"""Tasks of django.tasks that declare limits and an order."""

from __future__ import annotations

from typing import Any

from pleme_redis_django import Job, Limit, Rate
from pleme_redis_django.tasks_backend import job_options
from pleme_redis_django.tasks_backend.api import TaskContext, task

ran: list[Any] = []


def _of_customer(customer: str, number: int) -> int:
    ran.append((customer, number))
    return Job.objects.filter(status="RUNNING").count()


def _in_order(context: TaskContext[Any, Any], order: str, *numbers: int) -> None:
    ran.append((order, *numbers))


def _by_rate() -> None:
    ran.append("by rate")


of_customer = job_options(task(_of_customer), limits=Limit(1, key=lambda customer: customer, name="buyer"))
in_order = job_options(
    task(takes_context=True)(_in_order), limits=Limit(1, key=lambda order: f"order:{order}", in_order=True)
)
by_rate = job_options(task(_by_rate), limits=Rate(1, per_seconds=3600, burst=2, key="tasks by rate"))
