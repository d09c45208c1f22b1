"""Entries of rq-scheduler."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from redis import Redis

from timetable.theirs import work

CRONS = {"weekdays": "0 3 * * mon-fri", "every-seven-minutes": "*/7 * * * *", "monthly": "30 4 1 * *"}


def write(now: datetime, count: int) -> dict[str, list[datetime] | None]:
    # Here, since this module has the name of the package.
    from rq_scheduler import Scheduler

    redis = Redis.from_url(os.environ["REDIS_URL"])
    scheduler = Scheduler(connection=redis, queue_name="default")
    start = now.replace(microsecond=0) + timedelta(hours=1)
    call = {"args": ["berlin"], "kwargs": {"pages": 2}}
    scheduler.schedule(start, work, interval=5_400, id="interval", **call)
    times: dict[str, list[datetime] | None] = {
        "interval": [start + each * timedelta(seconds=5_400) for each in range(count)]
    }
    for name, cron in CRONS.items():
        # Its cron counts in the zone of the process, which Django has set to TIME_ZONE.
        scheduler.cron(cron, work, id=name, use_local_timezone=True, **call)
        times[name] = [datetime.fromtimestamp(redis.zscore(scheduler.scheduled_jobs_key, name), UTC)]
    scheduler.schedule(start, work, interval=60, repeat=3, id="repeat", **call)
    scheduler.schedule(start, work, ["berlin"], {"pages": Decimal(2)}, interval=60, id="no-constant")
    scheduler.enqueue_at(start, work, "berlin", job_id="once")
    return times | dict.fromkeys(["repeat", "no-constant", "once"])
