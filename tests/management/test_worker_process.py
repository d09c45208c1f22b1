"""A worker process: what its signal handlers may do."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import traceback
from types import FrameType
from typing import Any

from pleme_redis_django.configured_pools import configured_pool
from pleme_redis_django.management.runworkers.agreement import END_GRACE_SIGNAL
from pleme_redis_django.management.runworkers.options import FromSupervisor, RunOptions
from pleme_redis_django.management.runworkers.worker_process import WorkerProcessRun, spare_the_collector
from pleme_redis_django.wiring import build_pool

OPTIONS = RunOptions(
    pools=(),
    processes=1,
    overrides={},
    burst=False,
    reload=False,
    log_format="text",
    release="",
    max_silence_seconds=0,
)


def test_a_signal_may_interrupt_the_handler_of_another_anywhere() -> None:
    """SIGTERM to the whole group, and the supervisor's own signal with it: on a busy machine they come at once."""
    lifeline, writer = os.pipe()
    run = WorkerProcessRun(
        configured_pool("default", {"async_count": 0}),
        OPTIONS,
        FromSupervisor(worker_id="11111111-1111-4111-8111-111111111111", lifeline_fd=lifeline),
        build_pool,
    )
    nested = 0

    def interrupt(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal nested
        if event == "line":
            nested += 1
            sys.settrace(None)
            run._on_signal(END_GRACE_SIGNAL, None)
            sys.settrace(interrupt)
        return interrupt

    def handle_two_signals() -> None:
        sys.settrace(interrupt)
        run._on_signal(signal.SIGTERM, None)
        run._on_signal(signal.SIGTERM, None)
        sys.settrace(None)

    thread = threading.Thread(target=handle_two_signals, daemon=True)
    thread.start()
    thread.join(60)
    where = "".join(traceback.format_stack(sys._current_frames().get(thread.ident or 0)))
    assert not thread.is_alive(), f"a handler waits for a lock that the handler below it holds:\n{where}"
    assert nested > 5
    os.close(lifeline)
    os.close(writer)


def test_the_collector_leaves_alone_what_a_worker_has_loaded() -> None:
    before = gc.get_threshold()
    try:
        spare_the_collector()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > before[0]
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_a_worker_imports_nothing_for_isolated_jobs_before_the_first() -> None:
    program = (
        "import django, sys; django.setup()\n"
        "from pleme_redis_django.management.commands import runworkers\n"
        "print(sorted(name for name in sys.modules if name.endswith(('isolated_process', 'channel', 'isolated'))\n"
        "             or 'attempts_apart' in name or 'job_messages' in name))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
