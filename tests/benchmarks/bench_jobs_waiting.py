"""Jobs that wait 10 ms each, in one worker process: what the numbers of threads and async slots are worth."""

from __future__ import annotations

from tests.benchmarks.report import Row
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.workers import completion_rate, insert_ready_jobs, run_burst, settle, start_afresh

IN_THE_LOOP = "tests.workload.waiting_jobs.wait_in_the_loop"
IN_A_THREAD = "tests.workload.waiting_jobs.wait_in_a_thread"
# Enough for some two seconds of each.
ASYNC_JOBS = 30_000
SYNC_JOBS = 20_000
FEW_THREADS_JOBS = 3_000


def run(servers: BenchmarkServers) -> list[Row]:
    plain = "in one process, first to last completion"
    return [
        Row(
            name="10 ms async jobs, defaults",
            value=_rate(servers, IN_THE_LOOP, ASYNC_JOBS),
            unit="1/s",
            target=10_000,
            note=f"{ASYNC_JOBS:,} jobs {plain}",
        ),
        Row(
            name="10 ms async jobs, 1,000 slots",
            value=_rate(servers, IN_THE_LOOP, ASYNC_JOBS, "--async-count", "1000"),
            unit="1/s",
        ),
        Row(
            name="10 ms sync jobs, defaults",
            value=_rate(servers, IN_A_THREAD, FEW_THREADS_JOBS),
            unit="1/s",
            note=f"{FEW_THREADS_JOBS:,} jobs",
        ),
        Row(
            name="10 ms sync jobs, 100 threads",
            value=_rate(servers, IN_A_THREAD, SYNC_JOBS, "--worker-count", "100"),
            unit="1/s",
            target=9_000,
            note=f"{SYNC_JOBS:,} jobs",
        ),
    ]


def _rate(servers: BenchmarkServers, job_type: str, jobs: int, *arguments: str) -> float:
    start_afresh(servers)
    insert_ready_jobs(jobs, job_type=job_type)
    settle()
    run_burst(servers, *arguments)
    return completion_rate(jobs)
