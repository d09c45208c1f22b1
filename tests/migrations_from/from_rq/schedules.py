"""What rq-scheduler would enqueue each night."""

from __future__ import annotations

import django_rq
from rq_scheduler import Scheduler

from from_rq import tasks


def add() -> None:
    scheduler = Scheduler(connection=django_rq.get_connection())
    scheduler.cron("0 3 * * *", func=tasks.remind, args=["#s"], queue_name="mail", id="nightly")
