"""What really happened: effects that handlers leave behind, and every change of a job's status.

Both tables are append-only. Effects are written on a connection of their own, so that they stay
when the attempt's own writes are lost; status changes are written by a trigger, so that nothing
that the engine believes of itself is needed to judge it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from pleme_redis_django import JobContext

CREATE_EFFECTS = """
CREATE TABLE fault_effects (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id uuid NOT NULL, attempt int NOT NULL, worker_id uuid NOT NULL, pid int NOT NULL, what text NOT NULL
);
CREATE TABLE fault_transitions (
    number bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    job_id uuid NOT NULL, old_status text NOT NULL, new_status text NOT NULL,
    attempt int NOT NULL, worker_id uuid
);
CREATE FUNCTION fault_note_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fault_transitions (job_id, old_status, new_status, attempt, worker_id)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.attempt, NEW.worker_id);
    RETURN NULL;
END $$;
CREATE TRIGGER fault_transitions AFTER UPDATE OF status ON pleme_redis_django_job
    FOR EACH ROW EXECUTE FUNCTION fault_note_transition();
"""
_DROP = """
DROP TRIGGER IF EXISTS fault_transitions ON pleme_redis_django_job;
DROP FUNCTION IF EXISTS fault_note_transition;
DROP TABLE IF EXISTS fault_effects, fault_transitions;
"""
# An attempt runs from its first effect to its last one, or until its row leaves RUNNING where it has none.
HAS_ENDED = "ended.at, left_running.at"
# Past its lease a zombie runs on, and holds no place.
LEFT_RUNNING = "LEAST(ended.at, left_running.at)"
MOST_AT_ONCE = """
WITH ran AS (
    SELECT job.{column} AS gate, began.at AS began, COALESCE({until}, 'infinity') AS ended
    FROM fault_effects AS began JOIN pleme_redis_django_job AS job ON job.id = began.job_id
    LEFT JOIN fault_effects AS ended
      ON ended.job_id = began.job_id AND ended.attempt = began.attempt AND ended.what = 'end'
    LEFT JOIN (SELECT job_id, attempt, min(at) AS at FROM fault_transitions WHERE old_status = 'RUNNING'
               GROUP BY 1, 2) AS left_running
      ON left_running.job_id = began.job_id AND left_running.attempt = began.attempt
    WHERE began.what = 'begin'
), moved AS (
    SELECT gate, began AS at, 1 AS by FROM ran UNION ALL SELECT gate, ended, -1 FROM ran
)
SELECT gate, max(running) FROM (
    SELECT gate, SUM(by) OVER (PARTITION BY gate ORDER BY at, by ROWS UNBOUNDED PRECEDING) AS running FROM moved
) AS counted GROUP BY gate
"""

_of_thread = threading.local()


@contextmanager
def effects_recorded() -> Iterator[None]:
    """Have the tables and the trigger for the block."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP + CREATE_EFFECTS)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_DROP)


def leave(context: JobContext, what: str) -> None:
    """Write an effect, from the worker, on a connection that is no one else's."""
    connected = getattr(_of_thread, "connection", None)
    if connected is None or connected.closed:
        url = os.environ["EFFECTS_DATABASE_URL"]
        connected = _of_thread.connection = psycopg.connect(url, autocommit=True)
    connected.execute(
        "INSERT INTO fault_effects (job_id, attempt, worker_id, pid, what) VALUES (%s, %s, %s, %s, %s)",
        [context.job.id, context.attempt, context.claim.worker_id, os.getpid(), what],
    )


def rows(sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of a query, in the test's process."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def effects_of(what: str) -> list[tuple[Any, ...]]:
    """Return (job id, attempt, worker id, pid) of every effect of that name, oldest first."""
    return rows(
        "SELECT job_id, attempt, worker_id, pid FROM fault_effects WHERE what = %s ORDER BY at", [what]
    )


def transitions_of(job_id: Any) -> list[tuple[str, str]]:
    """Return the changes of one job's status, oldest first."""
    return [
        (old, new)
        for old, new in rows(
            "SELECT old_status, new_status FROM fault_transitions WHERE job_id = %s ORDER BY number", [job_id]
        )
    ]


def most_at_once(column: str, until: str = HAS_ENDED) -> dict[str, int]:
    """Return how many ran at once at most, by the values of a column of their jobs."""
    return dict(rows(MOST_AT_ONCE.format(column=column, until=until)))
