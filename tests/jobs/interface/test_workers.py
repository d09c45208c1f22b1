"""The identity of a worker process: a new id for each process, and another one after it was declared dead."""

from __future__ import annotations

import dataclasses
import os
import socket

from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity


def test_each_process_has_an_id_of_its_own_and_says_where_it_runs() -> None:
    first, second = WorkerIdentity(), WorkerIdentity()
    assert first.worker_id != second.worker_id
    assert (first.describe().host, first.describe().pid) == (socket.gethostname(), os.getpid())


def test_a_renewed_id_is_the_one_that_it_describes_itself_by() -> None:
    description = WorkerDescription(pool="mail", queues=("email",), slots=3)
    identity = WorkerIdentity(description)
    assert identity.describe() == description
    renewed = identity.renew()
    assert renewed not in (description.worker_id, "")
    assert identity.worker_id == renewed
    assert identity.describe() == dataclasses.replace(description, worker_id=renewed)
