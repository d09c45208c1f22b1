"""Declaring: what the code of this process declares, as rows; and rows that no code declares any more, dropped.

Who declares what stands in the row of each worker process, so that two releases can run side by side: a
process that has just begun writes what no older one declares, and later on only what no other live process
contradicts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db.models import Q
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidProduct
from pleme_redis_django.jobs.definitions.declared_schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.registry import JobRegistry, registry
from pleme_redis_django.jobs.definitions.schedule import timing_of
from pleme_redis_django.jobs.interface.schedules import Declared
from pleme_redis_django.models import Schedule
from pleme_redis_django.models.schedule import ScheduleSource
from pleme_redis_django.products import validate_product
from pleme_redis_django.schedules.moments import aware, aware_or_none, stored_or_none
from pleme_redis_django.schedules.reading import NOT_FIRED, UNREADABLE, read_schedule
from pleme_redis_django.schedules.tables import live_workers, locked, schedules

Key = tuple[str, str]
"""Product and name."""
# A column for each field of the same name; the two of the key are resolved beside them.
_COLUMNS = tuple(
    field.name for field in dataclasses.fields(DeclaredSchedule) if field.name not in ("name", "product")
)
# What another service declares may be away with all its processes for as long.
_AWAY = timedelta(days=1)
# How often a row is told that it is still declared.
_TOLD_AGAIN = timedelta(hours=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredByWorkers:
    """Product, name and digest of all that live processes declare."""

    all: frozenset[tuple[str, str, str]]
    by_older: frozenset[tuple[str, str, str]]
    """By processes that began before this one: what of that is stored otherwise was changed since.

    Not by all others: of two that begin at once with a new release, one has to write what is new.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A schedule of the code, with what it left to the settings."""

    job_type: str
    schedule: DeclaredSchedule
    product: str
    name: str
    digest: str

    @property
    def key(self) -> Key:
        """By which a row is known."""
        return (self.product, self.name)

    def fields(self) -> dict[str, Any]:
        """Return the columns that the code says."""
        said = {name: _stored(getattr(self.schedule, name)) for name in _COLUMNS}
        return said | {"job_type": self.job_type, "digest": self.digest}


def _stored(value: Any) -> Any:
    """Return a value of a declared schedule as its column has it."""
    if isinstance(value, datetime):
        return stored_or_none(value)
    return dict(value) if isinstance(value, Mapping) else value


def declarations(jobs: JobRegistry = registry) -> Iterator[Declaration]:
    """Yield what the code declares; what has no valid product is left out, and a check says so."""
    for definition in jobs:
        for declared in definition.schedules:
            try:
                product = declared_product(declared)
            except InvalidProduct:
                continue
            timezone = declared.timezone or django_settings.TIME_ZONE
            resolved = dataclasses.replace(declared, product=product, timezone=timezone)
            yield Declaration(
                job_type=definition.name,
                schedule=resolved,
                product=product,
                name=declared.name or definition.name,
                digest=resolved.digest(definition.name),
            )


def declared_product(declared: DeclaredSchedule) -> str:
    """Return the product of a declared schedule. Raises InvalidProduct when there is none."""
    product = declared.product if declared.product is not None else get_settings().product
    return validate_product(product)


def declared_here() -> tuple[Declared, ...]:
    """Return what this process tells others that it declares."""
    return tuple(Declared(product=one.product, name=one.name, digest=one.digest) for one in declarations())


def declare(using: str, now: datetime, *, at_start: bool, worker_id: str | None = None) -> None:
    """Make the rows of the code say what it says; inside a transaction. ``worker_id``: of this process."""
    mine = {one.key: one for one in reversed(list(declarations()))}  # Of two of one name the first counts.
    rows = schedules(using).filter(source=ScheduleSource.CODE).defer("parameters")
    of_code = {(row.product, row.name): row for row in rows}
    workers = _declared_by_workers(using, worker_id)
    new = [_new_row(one, now) for key, one in mine.items() if key not in of_code]
    # A row of that name which somebody made in the admin is left as it is; a check says so.
    schedules(using).bulk_create(new, ignore_conflicts=True)
    for key, row in of_code.items():
        if key in mine:
            is_news = at_start and (*key, mine[key].digest) not in workers.by_older
            may_contradict = is_news or (*key, row.digest) not in workers.all
            _adapt(using, row, mine[key], now, may_contradict=may_contradict, at_start=at_start)
    _tell_still_declared(using, [row.pk for key, row in of_code.items() if key in mine])
    declared = {key[:2] for key in workers.all}
    gone = [row for key, row in of_code.items() if key not in mine and key not in declared]
    if gone:
        _drop(using, gone, products={product for product, _name in mine} | {get_settings().product})


def _tell_still_declared(using: str, ids: Collection[int]) -> None:
    """Have ``updated_at`` say, to an hour, when code last declared the rows."""
    told_long_ago = schedules(using).filter(updated_at__lt=Now() - _TOLD_AGAIN)
    found = list(locked(told_long_ago, list(ids)).values_list("pk", flat=True))
    if found:
        schedules(using).filter(pk__in=found).update(updated_at=Now())


def _drop(using: str, rows: Collection[Schedule], products: Collection[str | None]) -> None:
    """Delete rows that the code of no live process declares; those of another service, when it has long been away.

    ``products``: what this process declares for. Another service may run the same code for another product.
    """
    ours = [row.pk for row in rows if row.product in products and _is_of_this_code(row.job_type)]
    gone = Q(pk__in=ours) | Q(updated_at__lt=Now() - _AWAY)
    undeclared = schedules(using).filter(pk__in=[row.pk for row in rows], source=ScheduleSource.CODE)
    undeclared.filter(gone).delete()


def _is_of_this_code(job_type: str) -> bool:
    """Whether this code has the job, or others of its module: then it would declare what is declared of it."""
    if registry.find(job_type) is not None:
        return True
    module = job_type.rpartition(".")[0]
    return any(definition.function.__module__ == module for definition in registry)


def _declared_by_workers(using: str, worker_id: str | None) -> DeclaredByWorkers:
    """Return what live processes declare. One that has not registered yet is younger than all that have."""
    workers = live_workers(using).exclude(declared_schedules__isnull=True)
    found = list(workers.values_list("id", "started_at", "declared_schedules"))
    began = next(
        (started_at for other_id, started_at, _declared in found if str(other_id) == worker_id), None
    )
    older = [declared for _id, started_at, declared in found if began is None or started_at < began]
    return DeclaredByWorkers(
        all=_triples(declared for *_of_worker, declared in found), by_older=_triples(older)
    )


def _triples(of_workers: Iterable[Any]) -> frozenset[tuple[str, str, str]]:
    of_each = (declared or () for declared in of_workers)
    return frozenset((product, name, digest) for declared in of_each for product, name, digest in declared)


def _new_row(one: Declaration, now: datetime) -> Schedule:
    first = timing_of(one.schedule, "UTC").next_after(now)
    return Schedule(
        product=one.product,
        name=one.name,
        source=ScheduleSource.CODE,
        next_tick_at=stored_or_none(first),
        **one.fields(),
    )


def _may_enable(row: Schedule, one: Declaration, *, at_start: bool) -> bool:
    """Whether a disabled row that says what the code does may fire again; else it would be disabled in turn.

    That it can be read is not enough where it was, and could not be fired: a new process may know better.
    """
    return (at_start or not row.disabled_reason.startswith(NOT_FIRED)) and _can_be_read(row, one)


def _can_be_read(row: Schedule, one: Declaration) -> bool:
    """Whether this process can read the row when it says what the code does, as it then does."""
    for name, value in one.fields().items():
        setattr(row, name, value)
    try:
        read_schedule(row, registry)
    except UNREADABLE:
        return False
    return True


def _adapt(
    using: str, row: Schedule, one: Declaration, now: datetime, *, may_contradict: bool, at_start: bool
) -> None:
    """Write what has changed in the code, or what was disabled though what the code says can be read."""
    is_mine = row.digest == one.digest
    if (is_mine and row.enabled) or not (is_mine or may_contradict):
        return
    if is_mine and not _may_enable(row, one, at_start=at_start):
        return
    following = aware_or_none(row.next_tick_at)
    if not row.enabled or following is None or following > now:
        # A tick that is due already still fires: what is new begins after it.
        since = now if row.last_tick_at is None else max(now, aware(row.last_tick_at))
        following = timing_of(one.schedule, "UTC").next_after(since)
    schedules(using).filter(pk=row.pk, next_tick_at=row.next_tick_at).update(
        enabled=True,
        disabled_reason="",
        next_tick_at=stored_or_none(following),
        updated_at=Now(),
        **one.fields(),
    )
