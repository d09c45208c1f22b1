"""Locks of jobs that wait: rows that no worker claims before the caller's transaction has ended."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.db.models import QuerySet

from pleme_redis_django.orm_store.job_table import M


def kept_waiting(jobs: QuerySet[M], slots: Collection[str], *, to_change: bool) -> list[M]:
    """Return the jobs, locked, and lock no others.

    The lock is shared, which the ORM does not know: several transactions may have the same job wait, and claims
    skip it. One that changes the job has it alone: two that shared it would wait for each other. A job whose claim is
    under way is waited for, and left out when it no longer meets the query by then.
    """
    wanted = set(slots)
    while wanted:
        # PostgreSQL looks at the row again once it has locked it, and one that it leaves out stays locked: its worker
        # would wait for the end of the caller's transaction. Only what undoes the lock lets go of it.
        with transaction.atomic(using=jobs.db):
            found = _locked(jobs.filter(unique_slot__in=wanted), to_change=to_change)
            if len(found) == len(wanted):
                return found
            transaction.set_rollback(True, using=jobs.db)
        wanted = {str(job.unique_slot) for job in found}
    return []


def _locked(jobs: QuerySet[M], *, to_change: bool) -> list[M]:
    if to_change:
        return list(jobs.select_for_update(no_key=True))
    sql, parameters = jobs.query.get_compiler(jobs.db).as_sql()
    return list(jobs.model._base_manager.using(jobs.db).raw(f"{sql} FOR SHARE", parameters))
