"""OPERATIONS: what can be done to jobs in the admin, each with its words, its permission and its function.

One table for the list's actions, the buttons of a job's page and the pages of confirmation.
"""

from __future__ import annotations

from django.contrib.admin.models import DELETION

from pleme_redis_django.admin.bulk.forms import PriorityForm, QueueForm, RescheduleForm
from pleme_redis_django.admin.bulk.operation import Operation
from pleme_redis_django.jobs.interface.job import WAITING_STATUSES, JobStatus
from pleme_redis_django.operations import endings, turns, waiting_jobs

_WAITING = frozenset(WAITING_STATUSES)
_ONLY_WAITING = "Only pending, blocked and queued jobs can be changed."

_ALL = (
    Operation(
        name="retry",
        permission="retry",
        label="Retry",
        done="Retried",
        effect="Ready to run at once, with all retries again.",
        skips="Only failed and cancelled jobs can be retried.",
        statuses=frozenset(endings.RETRYABLE_STATUSES),
        able=endings.retryable_jobs,
        apply=endings.retry_jobs,
    ),
    Operation(
        name="run_now",
        permission="reschedule",
        label="Run now",
        done="Made due now",
        effect="Ready to run at once, whatever the due time was.",
        skips="Only pending jobs can be made due now; blocked and queued jobs already are.",
        statuses=frozenset({JobStatus.PENDING}),
        able=waiting_jobs.runnable_jobs,
        apply=waiting_jobs.run_jobs_now,
    ),
    Operation(
        name="reschedule",
        permission="reschedule",
        label="Reschedule",
        done="Made due at {}",
        effect="They do not run before the time below.",
        skips=_ONLY_WAITING,
        statuses=_WAITING,
        able=waiting_jobs.reschedulable_jobs,
        apply=waiting_jobs.reschedule_jobs,
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
        able=waiting_jobs.reschedulable_jobs,
        apply=waiting_jobs.change_priority,
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
        able=waiting_jobs.reschedulable_jobs,
        apply=waiting_jobs.change_queue,
        form=QueueForm,
        preposition="of",
    ),
    Operation(
        name="skip",
        permission="reschedule",
        label="Let the next one pass",
        done="Put behind the others of its order",
        effect="The next job of its order has its turn. It keeps its retries, and comes after all that wait now.",
        skips="Only a waiting job whose turn it is in its order, with others behind it, can be put behind them.",
        statuses=_WAITING,
        able=turns.skippable_jobs,
        apply=turns.skip_in_lines,
        in_order_only=True,
        is_confirmed=True,
    ),
    Operation(
        name="cancel",
        permission="cancel",
        label="Cancel",
        done="Cancelled",
        asked="Asked to end",
        effect="Waiting jobs end at once. Running ones are asked to end: an async handler is "
        "cancelled, another one goes on until it looks.",
        skips="Only pending, blocked, queued and running jobs can be cancelled, and running ones are asked once.",
        statuses=_WAITING | {JobStatus.RUNNING},
        able=endings.cancellable_jobs,
        apply=endings.cancel_jobs,
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
        able=endings.deletable_jobs,
        apply=endings.delete_jobs,
        is_confirmed=True,
        action_flag=DELETION,
    ),
)
OPERATIONS = {operation.name: operation for operation in _ALL}
