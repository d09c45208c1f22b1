"""The page in which a process writes what it executes: read by another, whatever has become of the writer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from pleme_redis_django.jobs.worker.executing_page import (
    ExecutingPage,
    JobExecuted,
    PageSeen,
    Stage,
    new_page_file,
)

JOB, OTHER = uuid4(), uuid4()
WORKER = "11111111-1111-4111-8111-111111111111"

_DIE_WHILE_EXECUTING = f"""
import os, signal, sys
from uuid import UUID
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage, Stage
page = ExecutingPage(3, {WORKER!r}, fd=int(sys.argv[1]))
page.note_stage(Stage.WORKING)
page.begin(0, UUID({str(OTHER)!r}), 7)
page.begin(2, UUID({str(JOB)!r}), 3)
page.end(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def page_fd() -> Iterator[int]:
    fd = new_page_file()
    yield fd
    os.close(fd)


def test_an_empty_page_is_of_a_process_that_had_not_started(page_fd: int) -> None:
    assert PageSeen.read(page_fd) == PageSeen(stage=Stage.STARTING, worker_id=None, executing=frozenset())


def test_what_a_killed_process_was_executing_is_known(page_fd: int) -> None:
    command = [sys.executable, "-c", _DIE_WHILE_EXECUTING, str(page_fd)]
    assert subprocess.run(command, pass_fds=[page_fd]).returncode == -9
    seen = PageSeen.read(page_fd)
    assert (seen.stage, seen.worker_id) == (Stage.WORKING, WORKER)
    assert seen.executing == {JobExecuted(JOB, 3)}


def test_a_slot_is_used_again(page_fd: int) -> None:
    page = ExecutingPage(1, WORKER, fd=page_fd)
    for attempt in (1, 2):
        page.begin(0, JOB, attempt)
        assert PageSeen.read(page_fd).executing == {JobExecuted(JOB, attempt)}
        page.end(0)
        assert PageSeen.read(page_fd).executing == frozenset()


def test_the_stage_and_a_new_id_leave_the_slots_alone(page_fd: int) -> None:
    page = ExecutingPage(2, WORKER, fd=page_fd)
    page.begin(1, JOB, 1)
    page.note_stage(Stage.STOPPED)
    renewed = str(UUID(int=5))
    page.note_worker(renewed)
    seen = PageSeen.read(page_fd)
    assert (seen.stage, seen.worker_id, len(seen.executing)) == (Stage.STOPPED, renewed, 1)


def test_without_a_file_the_writes_are_the_same() -> None:
    page = ExecutingPage(1, WORKER)
    page.begin(0, JOB, 2**40)
    page.end(0)
    page.note_stage(Stage.WORKING)
