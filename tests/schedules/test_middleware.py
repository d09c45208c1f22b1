"""Ticks and middleware: the job of a tick goes through it, and a tick that it refuses fires later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.models import Job, Schedule
from pleme_redis_django.schedules import book as book_module
from pleme_redis_django.schedules.book import OrmScheduleBook
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware, seen, use
from tests.schedules.conftest import NOON, SetClock

__all__ = ["seen", "use"]

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])
Make = Callable[..., Schedule]


class CountsPages:
    def enqueue(self, call_next: Any, request: Any) -> Any:
        classes.SEEN.append(request.metadata["tick_at"])
        return call_next(request.replace(parameters={**request.parameters, "pages": 9}))


def test_the_job_of_a_tick_goes_through_it(
    using: str, book: OrmScheduleBook, make: Make, use: UseMiddleware, seen: list[Any]
) -> None:
    use(CountsPages)
    make()
    assert book.fire_due().enqueued == 1
    job = Job._base_manager.using(using).get()
    assert (job.parameters["pages"], job.metadata["schedule"]) == (9, "nightly")
    assert seen == [NOON.isoformat()]


@pytest.mark.parametrize("kind", [classes.RefusesEnqueues, classes.ForgetsEnqueue])
def test_a_tick_that_it_refuses_fires_later(
    using: str,
    book: OrmScheduleBook,
    make: Make,
    clock: SetClock,
    use: UseMiddleware,
    kind: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book_module, "PUT_OFF_SECONDS", 0.0)
    schedule = make()
    use(kind)
    assert (book.fire_due().enqueued, book.fire_due().disabled) == (0, ())
    use(classes.Nothing)
    assert book.fire_due().enqueued == 1
    schedule.refresh_from_db()
    assert schedule.enabled and Job._base_manager.using(using).count() == 1
