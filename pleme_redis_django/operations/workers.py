"""Operations on worker processes: asking one to drain."""

from __future__ import annotations

from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.operations.stored_jobs import call_after_commit


def drain_worker(worker_id: UUID | str, *, using: str | None = None) -> bool:
    """Ask a worker process to exit: it claims no more jobs, and its running jobs continue to their end.

    Return whether the process lived, as far as is known, and had not been asked yet. There is no
    way back; its supervisor does not start another one in its place.
    """
    workers = WorkerProcess._base_manager.using(using or get_settings().database)
    asked = workers.filter(id=worker_id, died_at=None, drain_requested_at=None)
    with transaction.atomic(using=workers.db):
        changed = asked.update(drain_requested_at=Now())
        if changed:
            call_after_commit(workers.db, [worker_id])
    return bool(changed)


adrain_worker = sync_to_async(drain_worker)
