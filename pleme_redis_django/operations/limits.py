"""What an operator does to limits: another number, which counts at the next claim, and the code's number again."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidName, InvalidNumber
from pleme_redis_django.jobs.definitions.limits import (
    BURSTS,
    LIMIT_NAMES,
    NUMBERS,
    PERIODS,
    PLACES,
    STARTS,
    DeclaredLimit,
    most_at_once,
)
from pleme_redis_django.limits_of_pools import refuse_unkept_limit
from pleme_redis_django.models import AbstractJob, FlowLimit, Job, LimitKind, LimitSource, model_label
from pleme_redis_django.operations.stored_jobs import hint_after_commit
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.flow.control import flow_control_of
from pleme_redis_django.orm_store.flow.declared import declared_limits
from pleme_redis_django.orm_store.flow.rates import look_at_gates
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.products import validate_product

BY_MAX_LENGTH = 150


class _Unsaid(Enum):
    AS_IT_IS = "as it is"


AS_IT_IS: Final = _Unsaid.AS_IT_IS


def set_limit(
    kind: str,
    name: str,
    *,
    product: str | None = None,
    shared: bool | None = None,
    max_running: int | _Unsaid | None = AS_IT_IS,
    rate: int | _Unsaid | None = AS_IT_IS,
    per_seconds: float | _Unsaid = AS_IT_IS,
    burst: int | _Unsaid | None = AS_IT_IS,
    model: type[AbstractJob] = Job,
    reason: str = "",
    changed_by: str = "",
    using: str | None = None,
) -> FlowLimit:
    """Give a limit other numbers, or make one; they stand before those of the code until ``reset_limit``.

    ``kind``: "key", "type", "queue" or "product", of which ``name`` is one. ``product``: a limit of this product
    alone; None: the one that holds for every product. ``shared``: all products together have the one limit, not each
    of them its own; None: as it is, or is declared. ``max_running``: jobs that run at once, 0 is a
    pause, None any number. ``rate``: jobs that start in ``per_seconds`` (default 1), after a quiet time ``burst`` of
    them at once (default, and None: as many as ``Rate`` has by default); 0 is a pause, None any number. A number that
    is not given stays as it is, or as the code declares it. What runs beyond a lower number ends as it would. Raises
    InvalidName, InvalidProduct and InvalidNumber, and StoreError where a pool would run its jobs without it, for its
    store keeps no limits.
    """
    names = _checked_names(kind, name, product)
    if shared and (product is not None or kind == LimitKind.PRODUCT):
        raise InvalidName(
            f"shared is True for a limit of {'a product' if product is None else repr(product)} alone. "
            "Accepted: a key, a job type or a queue, without a product."
        )
    given = _given(max_running=max_running, rate=rate, per_seconds=per_seconds, burst=burst)
    refuse_unkept_limit(model, LimitKind(kind), name, product=names["product"])
    table = JobTable(model, using or get_settings().database)
    edit = {"edited_at": Now(), "edited_by": changed_by[:BY_MAX_LENGTH], "edit_reason": reason}
    with transaction.atomic(using=table.using):
        row = _locked(table, **names)
        if row is None:
            declared = _declared_now(table, names)
            limits_of(table).bulk_create(
                [
                    FlowLimit(
                        job_model=model_label(model),
                        source=LimitSource.ADMIN,
                        is_shared=declared.shared if shared is None else shared,
                        **names,
                        **_changed(declared.numbers(), given),
                        **edit,
                    )
                ]
            )
        else:
            _check_sharing(row, shared)
            numbers = _changed(_numbers_of(row), given)
            limits_of(table).filter(pk=row.pk).update(declared=_declared(row), **numbers, **edit)
            look_at_gates(table, [row.pk])
        _look_again_after_commit(table)
    return limits_of(table).get(**names)


def reset_limit(
    kind: str,
    name: str,
    *,
    product: str | None = None,
    model: type[AbstractJob] = Job,
    using: str | None = None,
) -> bool:
    """Give a limit the numbers of the code again, or remove one that no code has; return whether it was changed."""
    table = JobTable(model, using or get_settings().database)
    with transaction.atomic(using=table.using):
        row = _locked(table, kind=kind, name=name, product=product or "")
        if row is None or row.edited_at is None:
            return False
        rows = limits_of(table).filter(pk=row.pk)
        if row.declared is None:
            rows.delete()
        else:
            rows.update(**row.declared, declared=None, edited_at=None, edited_by="", edit_reason="")
        look_at_gates(table, [row.pk])
        _look_again_after_commit(table)
    return True


def limits_of(table: JobTable[Any]) -> QuerySet[FlowLimit]:
    return FlowLimit._base_manager.using(table.using).filter(job_model=model_label(table.model))


def _checked_names(kind: str, name: str, product: str | None) -> dict[str, str]:
    if kind not in LimitKind.values:
        raise InvalidName(f"kind is {kind!r}. Accepted: {', '.join(map(repr, LimitKind.values))}.")
    if not LIMIT_NAMES.accepts(name):
        raise InvalidName(f"The name of the limit is {name!r:.80}. Accepted: {LIMIT_NAMES}.")
    return {"kind": kind, "name": name, "product": "" if product is None else validate_product(product)}


def _check_sharing(row: FlowLimit, shared: bool | None) -> None:
    """Refuse to make one limit of those of every product, or the other way round.

    What waits and holds places is counted by product or together; it would have to be counted anew.
    """
    if shared is None or shared is row.is_shared:
        return
    now, other = (
        ("shared by all products", "each product's own")
        if row.is_shared
        else ("each product's own", "shared by all products")
    )
    way_out = (
        "Remove it first (reset_limit), and add it again."
        if row.source == LimitSource.ADMIN
        else "Say it where the code or the settings declare it (shared=)."
    )
    raise InvalidName(f"The limit of the {row.kind} {row.name} is {now}; it cannot become {other}. {way_out}")


def _locked(table: JobTable[Any], **names: str) -> FlowLimit | None:
    return limits_of(table).select_for_update().filter(**names).first()


def _declared(row: FlowLimit) -> dict[str, Any] | None:
    """Return the numbers to go back to; None: no code has them."""
    if row.source == LimitSource.ADMIN or row.edited_at is not None:
        return row.declared
    return _numbers_of(row)


def _numbers_of(row: FlowLimit) -> dict[str, Any]:
    return {number: getattr(row, number) for number in NUMBERS}


def _declared_now(table: JobTable[Any], names: Mapping[str, str]) -> DeclaredLimit:
    """Return what is declared of a limit that no job has met yet; one without numbers where nothing is."""
    kind, name = LimitKind(names["kind"]), names["name"]
    declared, _source = declared_limits(table.model).get((kind, name), (None, None))
    return declared if declared and not names["product"] else DeclaredLimit(kind=kind, name=name)


def _given(**numbers: Any) -> dict[str, Any]:
    """Return the numbers that were said. Raises InvalidNumber for one that is not accepted."""
    accepted: dict[str, Any] = {
        "max_running": PLACES,
        "rate": STARTS,
        "per_seconds": PERIODS,
        "burst": BURSTS,
    }
    given = {name: value for name, value in numbers.items() if value is not AS_IT_IS}
    for name, value in given.items():
        is_pause = name == "rate" and value == 0 and value is not False
        may_be_none = name != "per_seconds"
        if not (is_pause or (value is None and may_be_none) or accepted[name].accepts(value)):
            or_none = ", or None" if may_be_none else ""
            raise InvalidNumber(f"{name} is {value!r:.80}. Accepted: {accepted[name]}{or_none}.")
    if not given:
        raise InvalidNumber("No number is given. Accepted: max_running, rate, or both.")
    return given


def _changed(in_force: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers with those that are given. Raises InvalidNumber if nothing is limited by them."""
    numbers = {**in_force, **given}
    if numbers["max_running"] is None and numbers["rate"] is None:
        raise InvalidNumber("max_running and rate are both None. Accepted: one of them, or both.")
    is_new_rate = in_force["rate"] is None and numbers["rate"] is not None
    if numbers["burst"] is None or (is_new_rate and "burst" not in given):
        numbers["burst"] = most_at_once(numbers["rate"] or 0, numbers["per_seconds"])
    return numbers


def _look_again_after_commit(table: JobTable[Any]) -> None:
    """Let in what a higher number has room for, and wake the workers of its queues."""

    def look_again() -> None:
        flow_control_of(dialect_of(table), table).sweep(at_once=True)

    queue_names = list(table.blocked().values_list("queue_name", flat=True).distinct())
    transaction.on_commit(look_again, using=table.using, robust=True)
    hint_after_commit(table, queue_names)


aset_limit = sync_to_async(set_limit)
areset_limit = sync_to_async(reset_limit)
