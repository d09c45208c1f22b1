"""What can be done to jobs in the admin: for each operation its words, its permission and its function.

One table for the list's actions, the buttons of a job's page and the pages of confirmation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.models import CHANGE, DELETION
from django.db.models import QuerySet

from pleme_redis_django import operations
from pleme_redis_django.admin.bulk.forms import PriorityForm, QueueForm, RescheduleForm
from pleme_redis_django.admin.display import moment
from pleme_redis_django.jobs.interface.job import JobStatus

Options = Mapping[str, Any]
"""The validated values of an operation's form."""

_WAITING = frozenset(operations.WAITING_STATUSES)
_ONLY_WAITING = "Only pending and queued jobs can be changed."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that a person does to jobs."""

    name: str
    """In addresses."""
    permission: str
    """The part of the permission's name before the model's."""
    label: str
    """On buttons: a verb in the imperative."""
    done: str
    """What was done, in messages and histories; ``{}`` is the value of the form."""
    effect: str
    """What it does, on the page of confirmation."""
    skips: str
    """Which jobs it leaves as they are."""
    asked: str = ""
    """What was done to a running job, where that is less: only its worker can end it."""
    statuses: frozenset[JobStatus]
    """Of the jobs whose page offers it."""
    able: Callable[[QuerySet[Any]], QuerySet[Any]]
    """Those of the jobs that it changes."""
    apply: Callable[..., Any]
    """Called with the jobs, and with the values of the form by name."""
    form: type[forms.Form] | None = None
    preposition: str = ""
    """Between the label and what it is done to."""
    is_confirmed: bool = False
    """Whether it is confirmed for one job too; one with a form always is."""
    action_flag: int = CHANGE

    def sentence(self, options: Options) -> str:
        """Return what was done with these values, without a full stop."""
        return self.done.format(*map(_shown, options.values()))

    @property
    def asks(self) -> bool:
        """Whether a page stands between the button and what it does."""
        return self.is_confirmed or self.form is not None


def _shown(value: Any) -> str:
    return moment(value) if isinstance(value, datetime) else str(value)


_ALL = (
    Operation(
        name="retry",
        permission="retry",
        label="Retry",
        done="Retried",
        effect="Ready to run at once, with all retries again.",
        skips="Only failed and cancelled jobs can be retried.",
        statuses=frozenset(operations.RETRYABLE_STATUSES),
        able=operations.retryable_jobs,
        apply=operations.retry_jobs,
    ),
    Operation(
        name="run_now",
        permission="reschedule",
        label="Run now",
        done="Made due now",
        effect="Ready to run at once, whatever the due time was.",
        skips="Only pending jobs can be made due now; queued jobs already are.",
        statuses=frozenset({JobStatus.PENDING}),
        able=operations.runnable_jobs,
        apply=operations.run_jobs_now,
    ),
    Operation(
        name="reschedule",
        permission="reschedule",
        label="Reschedule",
        done="Made due at {}",
        effect="They do not run before the time below.",
        skips=_ONLY_WAITING,
        statuses=_WAITING,
        able=operations.reschedulable_jobs,
        apply=operations.reschedule_jobs,
        form=RescheduleForm,
    ),
    Operation(
        name="change_priority",
        permission="reschedule",
        label="Change priority",
        done="Given priority {}",
        effect="Run before waiting jobs of lower priority, and after those of higher.",
        skips=_ONLY_WAITING,
        statuses=_WAITING,
        able=operations.reschedulable_jobs,
        apply=operations.change_priority,
        form=PriorityForm,
        preposition="of",
    ),
    Operation(
        name="change_queue",
        permission="reschedule",
        label="Change queue",
        done="Moved to queue {}",
        effect="Run by the workers of the queue below.",
        skips=_ONLY_WAITING,
        statuses=_WAITING,
        able=operations.reschedulable_jobs,
        apply=operations.change_queue,
        form=QueueForm,
        preposition="of",
    ),
    Operation(
        name="cancel",
        permission="cancel",
        label="Cancel",
        done="Cancelled",
        asked="Asked to end",
        effect="Pending and queued jobs end at once. Running ones are asked to end: an async handler is "
        "cancelled, another one goes on until it looks.",
        skips="Only pending, queued and running jobs can be cancelled, and running ones are asked once.",
        statuses=_WAITING | {JobStatus.RUNNING},
        able=operations.cancellable_jobs,
        apply=operations.cancel_jobs,
        is_confirmed=True,
    ),
    Operation(
        name="delete",
        permission="delete",
        label="Delete",
        done="Deleted",
        effect="They are hidden and never run; the rows are kept. Running jobs are not "
        "interrupted, and not retried.",
        skips="They are already deleted.",
        statuses=frozenset(JobStatus),
        able=operations.deletable_jobs,
        apply=operations.delete_jobs,
        is_confirmed=True,
        action_flag=DELETION,
    ),
)
OPERATIONS = {operation.name: operation for operation in _ALL}
