"""What rq-scheduler keeps in Redis: jobs with an interval or a crontab. Their pickles are read, never unpickled."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings as django_settings

from pleme_redis_django.adoption.schedules.cron_fields import cron_expression
from pleme_redis_django.adoption.schedules.entry import CannotExpress, Entry, ForeignSchedule
from pleme_redis_django.adoption.schedules.plain_pickle import plain_constants
from pleme_redis_django.adoption.schedules.plain_values import checked_plain
from pleme_redis_django.adoption.schedules.queue_of import queue_of
from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import Timing
from pleme_redis_django.redis_state.server.rq_jobs import FIELD_MAX_BYTES, RqJob, scheduled_rq_jobs
from pleme_redis_django.wording import shortened

MAX_BYTES = 1_000_000
"""Of the unpacked data of a job."""
_IN_THE_ADMIN = "Make the schedule in the admin"
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def rq_scheduler_entries(url: str | None) -> Iterator[Entry]:
    """Yield what rq-scheduler has on a server; None: that of the settings.

    Raises RedisUnavailable, and ValueError when the server has something else there.
    """
    for job in scheduled_rq_jobs(url):
        yield Entry(name=_name(job), read=partial(_read, job))


def _name(job: RqJob) -> str:
    """Return an id that somebody chose; of others what is shown of the job without its arguments, and the beginning."""
    try:
        uuid.UUID(job.id)
    except ValueError:
        return job.id
    described = " ".join(_text(job, "description").partition("(")[0].split())
    return f"{shortened(described or 'job', characters=100)} {job.id[:8]}"


def _read(job: RqJob) -> ForeignSchedule:
    if job.too_large:
        raise CannotExpress(
            f"it has more than {FIELD_MAX_BYTES:,} bytes. Keep its arguments in your database, and give it their key"
        )
    if "data" not in job.fields:
        raise CannotExpress("its job is gone from Redis. Cancel it there")
    meta = _meta(job)
    # When it runs is read first: most jobs that cannot be read run only once.
    timing = _timing(job, meta)
    for field, said in _AROUND.items():
        if _text(job, field) not in {"", "[]"}:
            raise CannotExpress(
                f"it has {said}. Do that at the end of the job, and schedule it without there"
            )
    path, args, kwargs = _call(job)
    queue, notes = queue_of(_text(job, "origin"))
    if limits := [name for name in ("timeout", "ttl") if _text(job, name)]:
        notes = (*notes, f"{' and '.join(limits)}: not carried over; give @job a timeout or a deadline")
    return ForeignSchedule(
        path=path,
        args=args,
        kwargs=kwargs,
        timing=timing,
        catch_up=CatchUp.ONE,
        # The queue of jobs that named none.
        queue_name="" if queue == "default" else queue,
        notes=notes,
    )


_AROUND = {
    "success_callback_name": "an on_success callback",
    "failure_callback_name": "an on_failure callback",
    "dependency_ids": "a depends_on",
}


def _timing(job: RqJob, meta: Mapping[str, Any]) -> Timing:
    if meta.get("repeat") is not None:
        raise CannotExpress(
            f"it ends after {meta['repeat']} more times, and a schedule ends at a time. {_IN_THE_ADMIN} with ends_at"
        )
    try:
        due_at = datetime.fromtimestamp(job.due_at, UTC)
    except (ValueError, OverflowError, OSError):
        raise CannotExpress(f"its time is {job.due_at}. {_IN_THE_ADMIN}") from None
    interval, crontab = meta.get("interval"), meta.get("cron_string")
    if interval:
        if not isinstance(interval, int):
            raise CannotExpress(
                f"its interval is {shortened(repr(interval))}. Accepted: whole seconds. {_IN_THE_ADMIN}"
            )
        return Timing(interval_seconds=interval, timezone=django_settings.TIME_ZONE, starts_at=due_at)
    if not crontab:
        raise CannotExpress("it runs once. A schedule repeats: enqueue the job with .using(run_after=...)")
    cron = _cron(crontab)
    zones = ["UTC", django_settings.TIME_ZONE]
    if meta.get("use_local_timezone"):
        zones.reverse()
    for zone in zones:
        timing = Timing(cron=cron, timezone=zone).checked()
        if timing.next_after(due_at - timedelta(microseconds=1)) == due_at:
            return timing
    raise CannotExpress(
        f"its next time, {due_at:%Y-%m-%d %H:%M:%S} UTC, is none of {cron!r} in UTC or in {django_settings.TIME_ZONE}: "
        f"rq-scheduler reckons in the zone of the machine that it runs on. {_IN_THE_ADMIN} with that zone"
    )


def _cron(crontab: object) -> str:
    text = str(crontab)
    fields = _WORDS.get(text, text).split()
    if len(fields) == 6 and fields[5] == "*":
        fields = fields[:5]  # The sixth one is the year.
    if len(fields) != 5:
        raise CannotExpress(
            f"its cron_string is {shortened(repr(text))}. Accepted: five fields, no seconds or years. {_IN_THE_ADMIN}"
        )
    return cron_expression(fields)


def _meta(job: RqJob) -> Mapping[str, Any]:
    data = job.fields.get("meta", b"")
    value = _value(data) if data else {}
    if not isinstance(value, dict):
        raise CannotExpress(f"its meta is not a dict. {_IN_THE_ADMIN}")
    return value


def _call(job: RqJob) -> tuple[str, list[Any], dict[str, Any]]:
    called = _value(_unpacked(job.fields["data"]))
    if not isinstance(called, list | tuple) or len(called) != 4:
        raise CannotExpress(f"its data is not a call of RQ. {_IN_THE_ADMIN}")
    path, instance, args, kwargs = called
    if instance is not None:
        raise CannotExpress(
            "it calls a method of an object. Have a function do that, and give it the object's key"
        )
    if not isinstance(path, str) or not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        raise CannotExpress(f"its data is not a call of RQ. {_IN_THE_ADMIN}")
    return path, list(args), kwargs


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(data, MAX_BYTES)
    except zlib.error:
        return data  # As RQ itself reads what old releases wrote.
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise CannotExpress(
            f"its data is cut off, or has more than {MAX_BYTES:,} bytes. Keep its arguments in your database, and "
            "give it their key"
        )
    return plain


def _value(data: bytes) -> Any:
    if data[:1] == b"\x80":
        return plain_constants(data)
    try:
        return checked_plain(json.loads(data))
    except (ValueError, RecursionError):
        raise CannotExpress(f"it is neither JSON nor a pickle of these years. {_IN_THE_ADMIN}") from None


def _text(job: RqJob, field: str) -> str:
    return job.fields.get(field, b"").decode("utf-8", "replace")
