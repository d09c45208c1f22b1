"""What a process knows it has."""

from __future__ import annotations

import threading

from pleme_redis_django.jobs.worker.holdings import Holdings, ending_if_unfinished
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import claimed, held


def test_a_job_is_held_under_its_attempt() -> None:
    store, holdings = MemoryJobStore(), Holdings()
    one = held(claimed(store))
    holdings.add([one])
    job_id = one.job.id
    assert (holdings.holds(job_id, 1), holdings.holds(job_id, 2)) == (True, False)
    assert len(holdings) == 1
    holdings.remove([one])
    assert (holdings.holds(job_id, 1), len(holdings)) == (False, 0)


def test_letting_an_old_attempt_go_keeps_the_new_one() -> None:
    store, holdings = MemoryJobStore(), Holdings()
    old = held(claimed(store))
    holdings.add([old])
    assert store.finish_jobs([ending_if_unfinished(old)]) == [True]
    again = store.claim_next_job(old.claim.worker_id)
    assert again is not None
    new = held(again)
    holdings.add([new])
    holdings.remove([old])
    assert holdings.all() == [new]


def test_only_what_has_started_runs() -> None:
    store, holdings = MemoryJobStore(), Holdings()
    waiting, running = held(claimed(store)), held(claimed(store), started=True)
    holdings.add([waiting, running])
    assert holdings.running() == [running]


def test_waiting_until_nothing_is_held() -> None:
    holdings, one = Holdings(), held(claimed(MemoryJobStore()))
    assert holdings.wait_until_empty(0) is True
    holdings.add([one])
    assert holdings.wait_until_empty(0) is False
    threading.Thread(target=holdings.remove, args=([one],)).start()
    assert holdings.wait_until_empty(10) is True
