"""enqueue, enqueue_many and their async twins: what ``@job``'s methods and the root names call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import DatabaseDefault

from pleme_redis_django.conf import get_settings
from pleme_redis_django.enqueueing.announcing import announce, hint_after_commit
from pleme_redis_django.enqueueing.due_times import checked_run_after
from pleme_redis_django.enqueueing.insertion import insert_rows
from pleme_redis_django.enqueueing.requested_rows import RowGroup, pass_instance_through, requested_rows
from pleme_redis_django.enqueueing.rows import new_row, prepare_instance
from pleme_redis_django.enqueueing.templates import templates
from pleme_redis_django.enqueueing.turns import let_in_after_commit, let_next_after_commit
from pleme_redis_django.exceptions import EnqueueError, WrongTransaction
from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.jobs.definitions.uniqueness import OnConflict, waits_only
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.middleware.enqueues import surround_enqueues
from pleme_redis_django.models import AbstractJob, Job
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.flow.gates import is_line
from pleme_redis_django.orm_store.flow.lines import lines_of_jobs
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate


def enqueue(job_or_name: JobDefinition[Any, Any] | str | AbstractJob, /, *args: Any, **kwargs: Any) -> Any:
    """Store one job and return it: a ``@job``, the name of one, or an unsaved instance of a job model.

    The row is inserted in the caller's transaction, and the hint follows when that commits.
    Raises UnknownJobType, InvalidParameters, InvalidProduct, WrongTransaction or EnqueueError.
    """
    if isinstance(job_or_name, AbstractJob):
        if args or kwargs:
            raise EnqueueError(
                "An instance of a job model is enqueued as it is: put arguments in .parameters."
            )
        return _save(job_or_name)
    definition = _definition(job_or_name)
    return _store(definition, [definition.bind(args, kwargs)])[0]


def enqueue_many(
    job_or_name: JobDefinition[Any, Any] | str, parameters: Iterable[Mapping[str, Any]], /
) -> Sequence[Job]:
    """Store one job for each dict of arguments, all or none; return them in order."""
    definition = _definition(job_or_name)
    encoded = (definition.encoded_parameters(one) for one in parameters)
    return _store(definition, encoded)


aenqueue = sync_to_async(enqueue)
aenqueue_many = sync_to_async(enqueue_many)


class OrmEnqueuer:
    """What ``apps.ready()`` binds to the ``.enqueue()`` of every ``@job``."""

    def check_run_after(self, run_after: object) -> None:
        checked_run_after(run_after)

    def enqueue(self, definition: JobDefinition[Any, Any], parameters: dict[str, Any]) -> Job:
        return _store(definition, [parameters])[0]

    async def aenqueue(self, definition: JobDefinition[Any, Any], parameters: dict[str, Any]) -> Job:
        return await sync_to_async(self.enqueue)(definition, parameters)

    def enqueue_many(
        self, definition: JobDefinition[Any, Any], parameters: Iterable[dict[str, Any]]
    ) -> Sequence[Job]:
        return _store(definition, parameters)

    async def aenqueue_many(
        self, definition: JobDefinition[Any, Any], parameters: Iterable[dict[str, Any]]
    ) -> Sequence[Job]:
        return await sync_to_async(self.enqueue_many)(definition, parameters)


def _definition(job_or_name: JobDefinition[Any, Any] | str) -> JobDefinition[Any, Any]:
    if isinstance(job_or_name, JobDefinition):
        return job_or_name
    if isinstance(job_or_name, str):
        return registry.get(job_or_name).as_enqueued()
    raise EnqueueError(
        f"enqueue() got {job_or_name!r}. Accepted: a function decorated with @job, the name of one, or an unsaved "
        "instance of a job model."
    )


def _store(definition: JobDefinition[Any, Any], parameters: Iterable[dict[str, Any]]) -> Sequence[Job]:
    settings = get_settings()
    using = settings.database
    _refuse_foreign_transaction(using)
    if settings.middleware and surround_enqueues():
        return _store_groups(using, requested_rows(definition, parameters, templates.of))
    template = templates.of(definition)
    rows = [new_row(template, one) for one in parameters]
    return _store_rows(using, template, rows) if rows else []


def _store_groups(using: str, groups: Sequence[RowGroup]) -> Sequence[Job]:
    """Store the groups of one call, all or none; return the jobs in the order of the call."""
    if len(groups) == 1:
        return _store_rows(using, groups[0].template, groups[0].rows)
    jobs: dict[int, Job] = {}
    with transaction.atomic(using=using):
        for group in groups:
            jobs.update(zip(group.places, _store_rows(using, group.template, group.rows), strict=True))
    return [jobs[place] for place in sorted(jobs)]


@uninterrupted
def _store_rows(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> Sequence[Job]:
    table = JobTable(Job, using)
    stored = insert_rows(dialect_of(table), table, template, rows)
    jobs = stored.jobs
    inserted = jobs if template.uniqueness is None else _inserted(jobs, rows)
    let_next_after_commit(table, stored.lines, template.queue_name)
    let_in_after_commit(table, stored.left_places)
    if inserted:
        announce(inserted, using)
    if len(inserted) < len(jobs):
        _hint_at_jobs_that_were_there(jobs, template, using)
    return jobs


def _inserted(jobs: Sequence[Job], rows: Sequence[NewRow]) -> list[Job]:
    """Return the jobs that are new, each once: a unique job may have been there before."""
    new_ids = {row.id for row in rows}
    for job in jobs:
        job.is_new = job.id in new_ids
    return list({job.id: job for job in jobs if job.is_new}.values())


def _hint_at_jobs_that_were_there(jobs: Sequence[Job], template: RowTemplate, using: str) -> None:
    """Hint, after the commit, at jobs that wait and that this enqueue changed, or kept from starting.

    A claim has passed by the ready ones that a transaction kept waiting.
    """
    changed = template.uniqueness is not None and template.uniqueness.on_conflict is not OnConflict.KEEP
    kept_waiting = connections[using].in_atomic_block
    kept_at_limits = {
        job.id: job
        for job in jobs
        if kept_waiting and not job.is_new and job.status == JobStatus.BLOCKED and waits_only(job.unique_slot)
        # Of lines the caller has seen to.
        if job.blocked_on and not is_line(job.blocked_on)
    }
    let_in_after_commit(JobTable(Job, using), list(kept_at_limits.values()))
    hinted = {
        job.id: job
        for job in jobs
        if not job.is_new
        and job.status in WAITING_STATUSES
        and (changed or (kept_waiting and waits_only(job.unique_slot) and job.status == JobStatus.QUEUED))
    }
    by_queue: defaultdict[str, list[Job]] = defaultdict(list)
    for job in hinted.values():
        by_queue[job.queue_name].append(job)
    for of_queue in by_queue.values():
        hint_after_commit(of_queue, using)


def _save(job: AbstractJob) -> AbstractJob:
    settings = get_settings()
    using = settings.database
    _refuse_foreign_transaction(using)
    if settings.middleware and surround_enqueues():
        pass_instance_through(job)
    prepare_instance(job)
    _store_instance(using, job)
    return job


@uninterrupted
def _store_instance(using: str, job: AbstractJob) -> None:
    job.save(using=using, force_insert=True)
    _defer_database_defaults(job)
    job.is_new = True
    let_next_after_commit(JobTable(type(job), using), lines_of_jobs([job]), job.queue_name)
    announce([job], using)


def _defer_database_defaults(job: AbstractJob) -> None:
    """Have what the database filled in loaded when it is asked for; Django leaves an expression there."""
    for field in job._meta.concrete_fields:
        if isinstance(job.__dict__.get(field.attname), DatabaseDefault):
            del job.__dict__[field.attname]


def _refuse_foreign_transaction(using: str) -> None:
    """Refuse an enqueue that a rollback around it would not undo."""
    # A connection that this thread never asked for can have no transaction.
    inside = [
        connection.alias
        for connection in connections.all(initialized_only=True)
        if _is_in_a_transaction_of_the_project(connection)
    ]
    if inside and using not in inside:
        raise WrongTransaction(
            f'This enqueue writes to the database "{using}" inside a transaction on "{inside[0]}", whose rollback '
            f"would not undo it. Enqueue after the commit: transaction.on_commit(..., using={inside[0]!r}), or open "
            f"a transaction on {using!r} too."
        )


def _is_in_a_transaction_of_the_project(connection: BaseDatabaseWrapper) -> bool:
    # A TestCase holds a transaction open on each of its databases, where production has none.
    # The stubs of Django do not know the mark that it sets on them.
    return any(not block._from_testcase for block in connection.atomic_blocks)  # type: ignore[attr-defined]  # not in the stubs
