from __future__ import annotations

import datetime
import os
import socket
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from pleme_redis_django import JobClaim, JobContext, LockBusy, LockManager
from pleme_redis_django.jobs.interface.context import _current
from pleme_redis_django.redis_state.locks import HeldLock
from pleme_redis_django.redis_state.server.keyspace import lock_keys
from pleme_redis_django.signals import lock_force_released
from tests.redis_state.conftest import CallTwin


async def test_held_locks_are_listed_with_their_owner(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    before = datetime.datetime.now(datetime.UTC)
    guards = [await call_twin(locks.try_lock, name, 60) for name in ("order:1", "order:*", "ünï")]
    await call_twin(LockManager("acme2").try_lock, "not ours", 60)
    held = await call_twin(locks.held_locks)
    assert {each.name: each.fence for each in held} == {guard.name: guard.fence for guard in guards}
    assert held == sorted(held, key=lambda each: each.since)  # longest held first
    owner = held[0].owner
    assert (owner.host, owner.pid, owner.job_id) == (socket.gethostname(), os.getpid(), None)
    assert all(59 < each.remaining_seconds <= 60 for each in held)
    assert abs(held[0].since - before) < datetime.timedelta(seconds=30)


async def test_a_list_is_bounded(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    for number in range(12):
        await call_twin(locks.try_lock, str(number), 60)
    assert len(await call_twin(locks.held_locks, limit=5)) == 5


async def test_a_force_release_frees_the_lock_and_is_audited(
    call_twin: CallTwin, caplog: pytest.LogCaptureFixture
) -> None:
    locks, audited = LockManager("acme"), []

    def audit(sender: type, lock: HeldLock, by: str, reason: str, **_kwargs: Any) -> None:
        audited.append((lock.name, by, reason))

    lock_force_released.connect(audit)
    try:
        guard = await call_twin(locks.try_lock, "x", 60)
        taken = await call_twin(locks.force_release, "x", by="ops@acme", reason="hangs since noon")
    finally:
        lock_force_released.disconnect(audit)
    assert taken.fence == guard.fence
    assert audited == [("x", "ops@acme", "hangs since noon")]
    assert "released by force by ops@acme: hangs since noon" in caplog.text
    assert await call_twin(locks.try_lock, "x", 60) is not None
    assert await call_twin(guard.renew) is False and guard.lost


async def test_a_force_release_from_a_list_spares_the_next_holder(call_twin: CallTwin) -> None:
    locks = LockManager("acme")
    guard = await call_twin(locks.try_lock, "x", 60)
    [listed] = await call_twin(locks.held_locks)
    await call_twin(guard.release)
    newcomer = await call_twin(locks.try_lock, "x", 60)
    assert await call_twin(locks.force_release, listed, by="ops", reason="") is None
    assert await call_twin(newcomer.renew)


async def test_releasing_a_free_lock_by_force_does_nothing(call_twin: CallTwin) -> None:
    assert await call_twin(LockManager("acme").force_release, "x", by="ops", reason="") is None


async def test_an_unreadable_owner_is_shown_by_its_digest(
    call_twin: CallTwin, raw_redis: redis.Redis
) -> None:
    locks = LockManager("acme")
    raw_redis.set(lock_keys("acme", "x").lock, f"{'0' * 32}17 1700000000000 {{not json", px=60_000)
    [held] = await call_twin(locks.held_locks)
    assert held.owner is None and held.name == f"(digest {held.digest})"


async def test_the_owner_names_the_job_that_its_process_ran(call_twin: CallTwin) -> None:
    job = uuid.uuid4()
    context = JobContext(SimpleNamespace(id=job), JobClaim(worker_id="w", attempt=1), lambda _context: None)
    locks, token = LockManager("acme"), _current.set(context)
    try:
        await call_twin(locks.try_lock, "x", 60)
        with pytest.raises(LockBusy, match=f"job {job}") as caught:
            await call_twin(locks.lock("x", 60, 0).acquire)
    finally:
        _current.reset(token)
    assert caught.value.holder_job_id == str(job)
    assert (await call_twin(locks.holder, "x")).owner.job_id == str(job)
