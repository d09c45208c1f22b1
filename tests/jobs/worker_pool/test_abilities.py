"""What jobs ask of a store, and a store that cannot do it."""

from __future__ import annotations

import pytest

from pleme_redis_django import JobContext, Limit, WorkerPool, WorkerPoolConfig
from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry, RegistryExecutor
from pleme_redis_django.testing import MemoryJobStore


class WithoutLimits(MemoryJobStore):
    """Keeps none, as a store with only the eleven methods."""

    @property
    def supports_limits(self) -> bool:
        return False


def pay(ctx: JobContext) -> None: ...


def executor(limits: Limit | None) -> RegistryExecutor:
    jobs = JobRegistry()
    jobs.add(definition_of(pay, limits=limits, name="shop.pay"))
    return RegistryExecutor(jobs)


def test_a_pool_whose_jobs_declare_limits_is_refused_on_a_store_that_keeps_none() -> None:
    with pytest.raises(
        StoreError, match=r"WithoutLimits keeps no limits \(its supports_limits is False\).* shop.pay"
    ):
        WorkerPool(WorkerPoolConfig(), None, executor(Limit(5)), WithoutLimits())


def test_a_pool_without_limits_and_a_store_that_keeps_them_are_accepted() -> None:
    WorkerPool(WorkerPoolConfig(), None, executor(None), WithoutLimits())
    WorkerPool(WorkerPoolConfig(), None, executor(Limit(5)), MemoryJobStore())
