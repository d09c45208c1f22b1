"""What the machine itself asks from an enqueue to a start: INSERT, LPUSH, BRPOP and a claim in two plain programs.

Run as a program, it is the second one: it claims until it is ended, and then prints how late each job was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psycopg
import redis

LOOK_SECONDS = 0.01
CLAIM = """
UPDATE latency_floor SET taken = true
WHERE id = (SELECT id FROM latency_floor WHERE NOT taken ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING sent_at
"""


def measure(count: int, interval_seconds: float, redis_url: str, environment: dict[str, str]) -> list[float]:
    """Return the seconds from each of so many inserts to its claim; ``environment`` says libpq the database."""
    client = redis.Redis.from_url(redis_url)
    with psycopg.connect(**_where(environment), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS latency_floor")
        connection.execute(
            "CREATE TABLE latency_floor (id bigserial PRIMARY KEY, sent_at float8, taken bool DEFAULT false)"
        )
        connection.execute("CREATE INDEX ON latency_floor (id) WHERE NOT taken")
        claimer = subprocess.Popen(
            [sys.executable, __file__, redis_url], env=environment, stdout=subprocess.PIPE, text=True
        )
        begin = time.perf_counter()
        for number in range(count):
            time.sleep(max(begin + number * interval_seconds - time.perf_counter(), 0))
            connection.execute(
                "INSERT INTO latency_floor (sent_at) VALUES (%s)", (time.time(),), prepare=True
            )
            client.lpush("latency_floor", 1)
        while connection.execute("SELECT FROM latency_floor WHERE NOT taken").fetchone() is not None:
            time.sleep(LOOK_SECONDS)
        claimer.terminate()
        delays: list[float] = json.loads(claimer.communicate()[0])
        return delays


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
    delays: list[float] = []

    def end(*_: object) -> None:
        print(json.dumps(delays), flush=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    client = redis.Redis.from_url(redis_url, socket_timeout=None)
    with psycopg.connect(autocommit=True) as connection:
        while client.brpop(["latency_floor"]):
            row = connection.execute(CLAIM, prepare=True).fetchone()
            if row is not None:
                delays.append(time.time() - row[0])


if __name__ == "__main__":
    _claim(sys.argv[1])
