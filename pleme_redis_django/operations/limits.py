"""What an operator does to limits: another number, which counts at the next claim, and the code's number again."""

from __future__ import annotations

from typing import Any

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
    SMALLEST_DEFAULT_BURST,
    STARTS,
)
from pleme_redis_django.models import AbstractJob, FlowLimit, Job, LimitKind, LimitSource, model_label
from pleme_redis_django.operations.stored_jobs import hint_after_commit
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.flow.control import flow_control_of
from pleme_redis_django.orm_store.flow.rates import look_at_gates
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.products import validate_product

BY_MAX_LENGTH = 150


def set_limit(
    kind: str,
    name: str,
    *,
    product: str | None = None,
    shared: bool | None = None,
    max_running: int | None = None,
    rate: int | None = None,
    per_seconds: float = 1.0,
    burst: int | None = None,
    model: type[AbstractJob] = Job,
    reason: str = "",
    changed_by: str = "",
    using: str | None = None,
) -> FlowLimit:
    """Give a limit other numbers, or make one; they stand before those of the code until ``reset_limit``.

    ``kind``: "key", "type", "queue" or "product", of which ``name`` is one. ``product``: a limit of this product
    alone; None: the one that holds for every product. ``shared``: all products together have the one limit, not each
    of them its own; None: as it is, and not shared when it is made. ``max_running``: jobs that run at once, 0 is a
    pause, None any number. ``rate``: jobs that start in ``per_seconds``, after a quiet time ``burst`` of them at
    once; 0 is a pause, None any number. What runs beyond a lower number ends as it would. Raises InvalidName,
    InvalidProduct and InvalidNumber.
    """
    names = _checked_names(kind, name, product)
    if shared and (product is not None or kind == LimitKind.PRODUCT):
        raise InvalidName(
            f"shared is True for a limit of {'a product' if product is None else repr(product)} alone. "
            "Accepted: a key, a job type or a queue, without a product."
        )
    if max_running is None and rate is None:
        raise InvalidNumber("Neither max_running nor rate is given. Accepted: one of them, or both.")
    numbers: dict[str, Any] = {
        "max_running": _checked("max_running", max_running, PLACES),
        "rate": rate if rate == 0 else _checked("rate", rate, STARTS),
        "per_seconds": _checked("per_seconds", per_seconds, PERIODS),
        "burst": _checked("burst", burst, BURSTS) or SMALLEST_DEFAULT_BURST,
    }
    table = JobTable(model, using or get_settings().database)
    edit = {"edited_at": Now(), "edited_by": changed_by[:BY_MAX_LENGTH], "edit_reason": reason}
    with transaction.atomic(using=table.using):
        row = _locked(table, **names)
        if row is None:
            limits_of(table).bulk_create(
                [
                    FlowLimit(
                        job_model=model_label(model),
                        source=LimitSource.ADMIN,
                        is_shared=bool(shared),
                        **names,
                        **numbers,
                        **edit,
                    )
                ]
            )
        else:
            _check_sharing(row, shared)
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
    return {number: getattr(row, number) for number in NUMBERS}


def _checked(name: str, value: Any, accepted: Any) -> Any:
    if value is not None and not accepted.accepts(value):
        raise InvalidNumber(f"{name} is {value!r:.80}. Accepted: {accepted}, or None.")
    return value


def _look_again_after_commit(table: JobTable[Any]) -> None:
    """Let in what a higher number has room for, and wake the workers of its queues."""

    def look_again() -> None:
        flow_control_of(dialect_of(table), table).sweep(at_once=True)

    queue_names = list(table.blocked().values_list("queue_name", flat=True).distinct())
    transaction.on_commit(look_again, using=table.using, robust=True)
    hint_after_commit(table, queue_names)


aset_limit = sync_to_async(set_limit)
areset_limit = sync_to_async(reset_limit)
