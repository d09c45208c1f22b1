"""What the machine itself asks from an enqueue to a start: INSERT, LPUSH, BRPOP and a claim in two plain programs.

Run as a program, it is the second one: it claims until it is ended, and then prints when it did what.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import redis

LOOK_SECONDS = 0.01
CLAIM = """
UPDATE latency_floor SET taken = true
WHERE id = (SELECT id FROM latency_floor WHERE NOT taken ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING sent_at
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FloorTimes:
    """When each step of one job was done (``time.time()``)."""

    sent_at: float
    stored_at: float
    heard_at: float
    claimed_at: float


class Floor:
    """The first program: it inserts, and pushes."""

    def __init__(self, redis_url: str, environment: dict[str, str], claimer: subprocess.Popen[str]) -> None:
        self._redis = redis.Redis.from_url(redis_url)
        self._connection = psycopg.connect(**_where(environment), autocommit=True)
        self._claimer = claimer
        self._stored_at: dict[float, float] = {}

    def enqueue(self) -> None:
        """Insert a row, durably, and push a hint."""
        sent_at = time.time()
        self._connection.execute("INSERT INTO latency_floor (sent_at) VALUES (%s)", (sent_at,), prepare=True)
        self._stored_at[sent_at] = time.time()
        self._redis.lpush("latency_floor", 1)

    def end(self) -> list[FloorTimes]:
        """Wait until everything is claimed, end the other program, and return when each job was where."""
        while self._connection.execute("SELECT FROM latency_floor WHERE NOT taken").fetchone() is not None:
            time.sleep(LOOK_SECONDS)
        self._connection.close()
        self._claimer.terminate()
        return [
            FloorTimes(
                sent_at=sent_at, stored_at=self._stored_at[sent_at], heard_at=heard_at, claimed_at=claimed_at
            )
            for sent_at, heard_at, claimed_at in json.loads(self._claimer.communicate()[0])
        ]


@contextmanager
def floor(redis_url: str, environment: dict[str, str]) -> Iterator[Floor]:
    """Make the table and start the program that claims; ``environment`` says libpq the database."""
    with psycopg.connect(**_where(environment), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS latency_floor")
        connection.execute(
            "CREATE TABLE latency_floor (id bigserial PRIMARY KEY, sent_at float8, taken bool DEFAULT false)"
        )
        connection.execute("CREATE INDEX ON latency_floor (id) WHERE NOT taken")
    claimer = subprocess.Popen(
        [sys.executable, __file__, redis_url], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Floor(redis_url, environment, claimer)
    finally:
        claimer.kill()
        claimer.wait()


def measure(count: int, interval_seconds: float, redis_url: str, environment: dict[str, str]) -> list[float]:
    """Return the seconds from each of so many inserts to its claim."""
    with floor(redis_url, environment) as program:
        begin = time.perf_counter()
        for number in range(count):
            time.sleep(max(begin + number * interval_seconds - time.perf_counter(), 0))
            program.enqueue()
        return [times.claimed_at - times.sent_at for times in program.end()]


def _where(environment: dict[str, str]) -> dict[str, str]:
    names = {
        "PGHOST": "host",
        "PGPORT": "port",
        "PGUSER": "user",
        "PGPASSWORD": "password",
        "PGDATABASE": "dbname",
    }
    return {name: environment[variable] for variable, name in names.items() if environment.get(variable)}


def _claim(redis_url: str) -> None:
    times: list[tuple[float, float, float]] = []

    def end(*_: object) -> None:
        print(json.dumps(times), flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    client = redis.Redis.from_url(redis_url, socket_timeout=None)
    with psycopg.connect(autocommit=True) as connection:
        while client.brpop(["latency_floor"]):
            heard_at = time.time()
            row = connection.execute(CLAIM, prepare=True).fetchone()
            if row is not None:
                times.append((row[0], heard_at, time.time()))


if __name__ == "__main__":
    _claim(sys.argv[1])
