"""The indexes of a job table, which make claims fast, and the constraint that makes jobs unique."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_CRASHES

READY_INDEX, QUEUE_INDEX, SUSPECT_INDEX, DUE_INDEX, RUNNING_INDEX = "ready", "queue", "susp", "due", "run"
FAILED_INDEX, FAILED_AT_INDEX, EXPIRING_INDEX, GATE_INDEX = "fail", "fails", "expir", "gate"
SLOT_CONSTRAINT, TURN_CONSTRAINT = "slot", "turn"
_NAMED = "%(app_label)s_%(class)s_"


# What "ready", "pending" and "failed" mean, as the partial indexes say it. JobTable asks for jobs with these.
READY_CONDITION = Q(status="QUEUED", deleted_at=None, crash_count__lt=SUSPECT_AFTER_CRASHES)
READY_SUSPECT_CONDITION = Q(status="QUEUED", deleted_at=None, crash_count__gte=SUSPECT_AFTER_CRASHES)
PENDING_CONDITION = Q(status="PENDING", deleted_at=None)
BLOCKED_CONDITION = Q(status="BLOCKED", deleted_at=None)
# Nearly no row has a deadline, and what has none never enters the index.
EXPIRING_CONDITION = Q(status__in=["PENDING", "BLOCKED", "QUEUED"], deleted_at=None, expires_at__isnull=False)
LINE_PREFIX = "o:"
# The one job of an order key whose turn it is: ready, running, between two attempts, or held up at another gate.
# Those behind it wait BLOCKED in the line of the key.
TURN_CONDITION = Q(order_key__isnull=False) & (
    Q(status="RUNNING")
    | (
        Q(deleted_at=None)
        & (
            Q(status="QUEUED")
            | Q(status="PENDING", attempt__gt=0)
            | (Q(status="BLOCKED") & ~Q(blocked_on__startswith=LINE_PREFIX))
        )
    )
)
FAILED_CONDITION = Q(status="FAILED", deleted_at=None)


def job_indexes(prefix: str = _NAMED) -> list[models.Index]:
    """Return the indexes of a job table; a ``prefix`` of your own has at most 25 characters.

    Django's names end at 30 characters: a model whose app and class names are long says
    ``class Meta(AbstractJob.Meta): indexes = job_indexes("shop_import_")``.
    """
    return _claim_indexes(prefix) + _flow_indexes(prefix) + _history_indexes(prefix)


def _claim_indexes(prefix: str) -> list[models.Index]:
    """Return the indexes of jobs that wait: which one is next, and which one is due."""
    return [
        # In claim order, and partial, so that finished history never slows a claim down.
        models.Index(
            F("priority").desc(),
            F("run_after"),
            F("id"),
            condition=READY_CONDITION,
            name=prefix + READY_INDEX,
        ),
        # For a pool of one queue: without it a claim reads past the backlog of every other queue.
        models.Index(
            F("queue_name"),
            F("priority").desc(),
            F("run_after"),
            F("id"),
            condition=READY_CONDITION,
            name=prefix + QUEUE_INDEX,
        ),
        models.Index(fields=["run_after"], condition=READY_SUSPECT_CONDITION, name=prefix + SUSPECT_INDEX),
        models.Index(fields=["run_after"], condition=PENDING_CONDITION, name=prefix + DUE_INDEX),
        models.Index(fields=["expires_at"], condition=EXPIRING_CONDITION, name=prefix + EXPIRING_INDEX),
    ]


def _flow_indexes(prefix: str) -> list[models.Index]:
    """Return the indexes of jobs that hold a place, or wait for one."""
    return [
        # One for both questions, what a worker holds and how many of a key run: with an index for each, and
        # statistics of a quiet moment, the planner counts a key in the index of workers, through all that runs.
        models.Index(
            fields=["concurrency_key", "product", "worker_id"],
            condition=Q(status="RUNNING"),
            name=prefix + RUNNING_INDEX,
        ),
        # The waiting line of each gate; jobs without a limit never enter it.
        models.Index(
            F("blocked_on"),
            F("priority").desc(),
            F("run_after"),
            F("id"),
            condition=BLOCKED_CONDITION,
            name=prefix + GATE_INDEX,
        ),
    ]


def _history_indexes(prefix: str) -> list[models.Index]:
    """Return the indexes of jobs that have failed or were cancelled."""
    return [
        # What people look for among millions of completed jobs; those never enter it.
        models.Index(
            fields=["id"], condition=Q(status__in=["FAILED", "CANCELLED"]), name=prefix + FAILED_INDEX
        ),
        # Failures by when they happened: a job that is a month old can fail now.
        models.Index(
            F("failed_at").desc(), F("id").desc(), condition=FAILED_CONDITION, name=prefix + FAILED_AT_INDEX
        ),
    ]


def job_constraints(prefix: str = _NAMED) -> list[models.BaseConstraint]:
    """Return the constraints of a job table; ``prefix`` as in ``job_indexes``."""
    return [
        models.UniqueConstraint(
            fields=["product", "unique_slot"],
            condition=Q(unique_slot__isnull=False),
            name=prefix + SLOT_CONSTRAINT,
        ),
        models.UniqueConstraint(
            fields=["product", "order_key"], condition=TURN_CONDITION, name=prefix + TURN_CONSTRAINT
        ),
    ]
