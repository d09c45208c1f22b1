"""The jobs that rq-scheduler keeps on a Redis server, as bytes: read for an import, and never changed.

Keys, of rq-scheduler 0.14 and RQ: the sorted set ``rq:scheduler:scheduled_jobs`` (job ids by their next time in
Unix seconds), the hash ``rq:job:<id>``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redis.exceptions import ResponseError

from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.server.unavailable import outages_as_unavailable

SCHEDULED = "rq:scheduler:scheduled_jobs"
JOB_PREFIX = b"rq:job:"
MAX_JOBS = 100_000
FIELD_MAX_BYTES = 256 * 1024
"""Of a field of a job; a longer one is not fetched."""
_FIELDS = (
    *("data", "meta", "origin", "description", "timeout", "ttl"),
    *("success_callback_name", "failure_callback_name", "dependency_ids"),
)
_JOBS_AT_ONCE = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RqJob:
    """A job that is scheduled, as it is stored."""

    id: str
    due_at: float
    """Unix seconds."""
    fields: Mapping[str, bytes]
    """Those that there are, none of them unpacked; empty: the job is gone, or too large."""
    too_large: bool


def scheduled_rq_jobs(url: str | None) -> Iterator[RqJob]:
    """Yield the scheduled jobs, the next one first. ``url``: None is the server of the settings.

    Raises RedisUnavailable and RedisNotConfigured; ValueError when there is something else, or too much of it.
    """
    client: Any = redis_client(url=url)
    with outages_as_unavailable():
        try:
            count = client.zcard(SCHEDULED)
            found = client.zrange(SCHEDULED, 0, MAX_JOBS - 1, withscores=True)
        except ResponseError as error:
            raise ValueError(f"{SCHEDULED} cannot be read: {error}") from None
    if count > MAX_JOBS:
        raise ValueError(
            f"{SCHEDULED} has {count:,} jobs. Accepted: {MAX_JOBS:,}. Most of them run once: let them."
        )
    for start in range(0, len(found), _JOBS_AT_ONCE):
        yield from _fetched(client, found[start : start + _JOBS_AT_ONCE])


def _fetched(client: Any, scheduled: Sequence[tuple[bytes, float]]) -> Iterator[RqJob]:
    keys = [JOB_PREFIX + job_id for job_id, _due_at in scheduled]
    with outages_as_unavailable():
        asking = client.pipeline(transaction=False)
        for key in keys:
            for field in _FIELDS:
                asking.hstrlen(key, field)
        # A key of another type fails alone.
        lengths = asking.execute(raise_on_error=False)
        parts = [lengths[at : at + len(_FIELDS)] for at in range(0, len(lengths), len(_FIELDS))]
        readable = [_fits(part) for part in parts]
        fetching = client.pipeline(transaction=False)
        for key, fits in zip(keys, readable, strict=True):
            if fits:
                fetching.hmget(key, _FIELDS)
        replies = iter(fetching.execute(raise_on_error=False))
    for (job_id, due_at), part, fits in zip(scheduled, parts, readable, strict=True):
        values = next(replies) if fits else []
        fields = {} if isinstance(values, Exception) else dict(zip(_FIELDS, values, strict=False))
        yield RqJob(
            id=job_id.decode("utf-8", "replace"),
            due_at=due_at,
            fields={name: value for name, value in fields.items() if value is not None},
            too_large=any(isinstance(length, int) and length > FIELD_MAX_BYTES for length in part),
        )


def _fits(lengths: Sequence[object]) -> bool:
    return all(isinstance(length, int) and length <= FIELD_MAX_BYTES for length in lengths)
