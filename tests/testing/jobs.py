"""Jobs for the tests of the test kit: each does something to the database of its test."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import transaction

from pleme_redis_django import Job, JobCancelled, JobContext, ProviderError, job


@job(queue_name="names")
def make_group(name: str) -> int:
    return Group.objects.create(name=name).pk


@job
async def amake_group(name: str) -> int:
    return (await Group.objects.acreate(name=name)).pk


@job
def make_group_twice(name: str) -> None:
    """Break the transaction: the second name is taken."""
    Group.objects.create(name=name)
    Group.objects.create(name=name)


@job
async def amake_group_twice(name: str) -> None:
    await Group.objects.acreate(name=name)
    await Group.objects.acreate(name=name)


@job
def make_group_on_commit(name: str) -> None:
    transaction.on_commit(lambda: make_group.enqueue(name=name))


@job
def enqueue_more(left: int) -> int:
    if left:
        enqueue_more.enqueue(left=left - 1)
    return left


@job
def enqueue_itself() -> None:
    enqueue_itself.enqueue()


@job(max_retries=2)
def fail(message: str) -> None:
    raise ProviderError(message)


@job
def cancel() -> None:
    raise JobCancelled("not wanted any more")


@job
def interrupt() -> None:
    raise KeyboardInterrupt


@job
def report(ctx: JobContext) -> dict[str, int]:
    for done in range(1, 4):
        ctx.progress(done, 3)
    return {"attempt": ctx.attempt}


@job
def delete_own_row(ctx: JobContext) -> None:
    Job.objects.filter(pk=ctx.job.id).delete()
