"""A process in which attempts run apart, as small as it can be: handlers by their type, and no Django set up."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from pleme_redis_django import WorkerPoolConfig, current_job_context
from pleme_redis_django.jobs.worker.attempts_apart import AttemptsApart
from pleme_redis_django.jobs.worker.channel import Channel
from pleme_redis_django.jobs.worker.isolated_process import TRACE_SIGNAL
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.testing import MemoryJob
from tests.hanging import sleep_for_an_hour
from tests.jobs.recording import FunctionExecutor


def say_hello() -> None:
    context = current_job_context()
    assert context is not None
    context.progress(0)


def sleep(job: Any) -> None:
    say_hello()
    sleep_for_an_hour()


def sleep_deaf(job: Any) -> None:
    """Sleep on, whatever comes."""
    say_hello()
    while True:
        try:
            sleep_for_an_hour()
        except BaseException:
            continue


def report_for_ever(job: Any) -> None:
    while True:
        say_hello()


def report(job: Any) -> str:
    """Report more often than is passed on; the last report comes right before the end."""
    context = current_job_context()
    assert context is not None
    for done in range(1, 1001):
        context.progress(done, 1000)
    return "reported"


def babble(job: Any) -> None:
    """Write what is no message into every descriptor that is a socket."""
    for descriptor in range(3, 64):
        try:
            with socket.socket(fileno=os.dup(descriptor)) as found:
                found.sendall(b"how do you do\n")
        except OSError:
            continue
    sleep_for_an_hour()


def fork(job: Any) -> None:
    """Die, while a process that was forked holds every descriptor open; its id is in the file ``path``."""
    if pid := os.fork():
        Path(job.parameters["path"]).write_text(str(pid))
        os._exit(9)
    sleep_for_an_hour()


def leave_a_thread(job: Any) -> str:
    threading.Thread(target=sleep_for_an_hour).start()
    return "left"


HANDLERS: dict[str, Any] = {
    "pid": lambda job: os.getpid(),
    "big": lambda job: 'é"\\' * job.parameters["length"],
    "fail": lambda job: 1 // 0,
    **{
        function.__name__: function
        for function in (sleep, sleep_deaf, report, report_for_ever, babble, fork, leave_a_thread)
    },
}


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--parent", "--channel-fd", "--trace-fd"):
        parser.add_argument(option, type=int)
    given = parser.parse_args()
    faulthandler.register(TRACE_SIGNAL, file=given.trace_fd, all_threads=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    channel = Channel(socket.socket(fileno=given.channel_fd), max_bytes=sys.maxsize)
    greeting = channel.receive(60)
    assert greeting is not None
    if greeting.get("break"):
        sys.exit(3)

    def job_of(message: Any) -> MemoryJob:
        job = MemoryJob(**message)
        job.attempt, job.worker_id = 1, "w"
        return job

    executor = FunctionExecutor(lambda job: HANDLERS[job.job_type](job))
    runner = JobRunner(executor, WorkerPoolConfig(), max_results_bytes=64 * 1024 * 1024)
    AttemptsApart(channel, runner, job_of, given.parent).serve()


if __name__ == "__main__":
    main()
