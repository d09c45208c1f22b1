from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, models

from pleme_redis_django import LockLost, LockManager
from pleme_redis_django.exceptions import FenceFieldMissing


class Stock(models.Model):
    amount = models.IntegerField(default=10)
    status = models.CharField(max_length=10, default="new")
    last_fence = models.BigIntegerField(default=0)
    nullable_fence = models.BigIntegerField(null=True)
    small_fence = models.IntegerField(default=0)

    class Meta:
        app_label = "tests_of_fenced_writes"

    def __str__(self) -> str:
        return f"{self.pk}: {self.amount}"


@pytest.fixture
def stock_table(transactional_db: None) -> Iterator[None]:
    with connection.schema_editor() as editor:
        editor.create_model(Stock)
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Stock)


@pytest.fixture(params=["sync", "async"])
async def update(request: pytest.FixtureRequest, stock_table: None) -> AsyncIterator[Any]:
    async def call(guard: Any, queryset: Any, **values: Any) -> int:
        if request.param == "sync":
            return int(await sync_to_async(guard.update)(queryset, **values))
        return int(await guard.aupdate(queryset, **values))

    yield call
    await sync_to_async(connections.close_all)()


async def test_a_holder_writes_and_leaves_its_fence(update: Any) -> None:
    row = await Stock.objects.acreate()
    with LockManager("acme").lock("stock", 60) as guard:
        assert await update(guard, Stock.objects.filter(pk=row.pk), amount=9) == 1
        assert await update(guard, Stock.objects.filter(pk=row.pk), amount=8) == 1  # as often as it likes
    await row.arefresh_from_db()
    assert (row.amount, row.last_fence) == (8, guard.fence)


async def test_a_paused_holder_is_refused_by_the_row(update: Any) -> None:
    row = await Stock.objects.acreate()
    locks = LockManager("acme", clock=lambda: 0.0)  # a clock that stands still: the holder noticed nothing
    paused = locks.try_lock("stock", 0.02)
    assert paused is not None
    with LockManager("acme").lock("stock", 60, 10) as later:  # after the expiry
        await update(later, Stock.objects.filter(pk=row.pk), amount=5)
        assert not paused.lost
        with pytest.raises(LockLost, match="later holder"):
            await update(paused, Stock.objects.filter(pk=row.pk), amount=99)
    await row.arefresh_from_db()
    assert row.amount == 5


async def test_a_guard_that_knows_it_is_lost_asks_no_database(update: Any) -> None:
    guard = LockManager("acme").try_lock("stock", 60)
    assert guard is not None
    guard.release()
    with pytest.raises(LockLost, match="no longer held"):
        await update(guard, Stock.objects.all(), amount=1)


async def test_no_such_row_is_no_lost_lock(update: Any) -> None:
    with LockManager("acme").lock("stock", 60) as guard:
        assert await update(guard, Stock.objects.filter(pk=-1), amount=9) == 0


async def test_one_refused_row_refuses_them_all(update: Any) -> None:
    mine, theirs = await Stock.objects.acreate(), await Stock.objects.acreate(last_fence=2**62)
    with LockManager("acme").lock("stock", 60) as guard, pytest.raises(LockLost):
        await update(guard, Stock.objects.filter(status="new"), status="sold")
    await mine.arefresh_from_db()
    await theirs.arefresh_from_db()
    assert (mine.status, theirs.status) == ("new", "new")


async def test_a_row_without_a_fence_yet_accepts_any(update: Any) -> None:
    await Stock.objects.acreate()
    with LockManager("acme").lock("stock", 60) as guard:
        assert await update(guard, Stock.objects.all(), amount=9, fence_field="nullable_fence") == 1


@pytest.mark.parametrize("field", ["no_such_field", "small_fence", "status"])
async def test_a_field_that_cannot_keep_a_fence_is_refused(update: Any, field: str) -> None:
    guard = LockManager("acme").lock("stock", 60).acquire()
    with guard, pytest.raises(FenceFieldMissing, match=f"no BigIntegerField '{field}'"):
        await update(guard, Stock.objects.all(), amount=9, fence_field=field)
