"""The worker and the producer of PgQueuer, as its documentation says; run in an environment that has it.

``work`` runs jobs until SIGTERM, and then prints how late each timed one began. ``produce`` answers each line of its
input, such as ``["enqueue", 500]``, with the seconds that it took.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries

BATCH_SIZE = 100
INTERVAL_SECONDS = 0.02


async def work() -> None:
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect()))
    delays: list[float] = []

    @worker.entrypoint("noop")
    async def noop(job: Job) -> None:
        pass

    @worker.entrypoint("timed")
    async def timed(job: Job) -> None:
        delays.append(time.time() - float(job.payload or 0))

    def end() -> None:
        print(json.dumps(delays), flush=True)
        os._exit(0)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    await worker.run(batch_size=BATCH_SIZE)


async def produce() -> None:
    queries = Queries(AsyncpgDriver(await asyncpg.connect()))
    # What an earlier round has left.
    await queries.uninstall()
    await queries.install()
    actions = {"enqueue": one_by_one, "bulk": at_once, "schedule": on_schedule}
    for line in sys.stdin:
        action, count = json.loads(line)
        started = time.perf_counter()
        await actions[action](queries, count)
        print(time.perf_counter() - started, flush=True)


async def one_by_one(queries: Queries, count: int) -> None:
    for _ in range(count):
        await queries.enqueue("noop", None)


async def at_once(queries: Queries, count: int) -> None:
    await queries.enqueue(["noop"] * count, [None] * count, [0] * count)


async def on_schedule(queries: Queries, count: int) -> None:
    begin = time.perf_counter()
    for number in range(count):
        time.sleep(max(begin + number * INTERVAL_SECONDS - time.perf_counter(), 0))
        await queries.enqueue("timed", repr(time.time()).encode())


if __name__ == "__main__":
    uvloop.run({"work": work, "produce": produce}[sys.argv[1]]())
