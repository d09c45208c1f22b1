"""ServingWorkers: the live worker processes that could run one waiting job, and their slots."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.monitoring.reports import worker_reports
from pleme_redis_django.monitoring.waiting_row import WaitingRow


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServingWorkers:
    """The live processes for the job's model, and those of them that serve its queue and product."""

    alive: Sequence[WorkerProcess]
    serving: Sequence[WorkerProcess]
    job_type: str
    is_async: bool | None
    """Whether the job takes an async slot; None: its type is unknown here."""

    @classmethod
    def of(cls, row: WaitingRow, *, is_async: bool | None) -> ServingWorkers:
        """Read the worker processes; one query."""
        reports = worker_reports(model=row.model, using=row.using)
        # Those of the quarantine run jobs whose processes died, and no others.
        alive = [each.worker for each in reports if each.is_alive and not each.worker.is_quarantine]
        serving = [
            worker
            for worker in alive
            if worker.product in ("", row.product) and not {"*", row.queue_name}.isdisjoint(worker.queues)
        ]
        return cls(alive=alive, serving=serving, job_type=row.job_type, is_async=is_async)

    @property
    def knowing(self) -> list[WorkerProcess]:
        """Those that serve it and know its type, or have not said which types they know."""
        return [each for each in self.serving if each.job_types is None or self.job_type in each.job_types]

    @property
    def is_type_told(self) -> bool:
        """Whether every process that serves it has said which types it knows."""
        return bool(self.serving) and all(each.job_types is not None for each in self.serving)

    @property
    def claiming(self) -> list[WorkerProcess]:
        """Those that know it and do not drain."""
        return [worker for worker in self.knowing if not worker.is_draining]

    @property
    def slots(self) -> int:
        """How many slots of its kind those have that claim."""
        return sum(_of_kind(self.is_async, each.slots, each.async_slots) for each in self.claiming)

    @property
    def held(self) -> int:
        """How many jobs of its kind they held at their last heartbeats."""
        return sum(_of_kind(self.is_async, each.running, each.async_running) for each in self.claiming)


def _of_kind(is_async: bool | None, every: int, asynchronous: int) -> int:
    if is_async is None:
        return every
    return asynchronous if is_async else every - asynchronous
