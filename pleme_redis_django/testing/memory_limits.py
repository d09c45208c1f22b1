"""MemoryLimits: the limits and the lines of a MemoryJobStore, by the rules of a database's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.testing.memory_job import MemoryJob, claim_order

T = TypeVar("T")


class MemoryLimits:
    """How many jobs of a key, a job type, a queue or a product run at once, each product by itself."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def set(self, kind: str, name: str, max_running: int | None) -> None:
        """Limit the jobs of a name; None: no more."""
        if max_running is None:
            self._numbers.pop((kind, name), None)
        else:
            self._numbers[kind, name] = max_running

    def full_gate(self, job: MemoryJob, running: Sequence[MemoryJob]) -> str | None:
        """Return the gate that has no place for the job; None: it may start."""
        for gate, number in gates_of(job, self._numbers):
            taken = sum(other.cost for other in running if gate in dict(gates_of(other, self._numbers)))
            if taken + job.cost > number:
                return gate
        return None

    def line_before(self, job: MemoryJob, jobs: Iterable[MemoryJob]) -> str | None:
        """Return the line in which another job has its turn before this one; None: it has its own, or is in none."""
        if job.order_key is None or job.has_turn or job.attempt:
            return None
        line = f"o:{job.product}:{job.order_key}"
        others = [
            other
            for other in jobs
            if (other.product, other.order_key) == (job.product, job.order_key)
            and other is not job
            and not other.deleted
            and not other.status.is_terminal
        ]
        has_turn = any(other.has_turn or other.attempt for other in others)
        waits_before = any(
            claim_order(other) < claim_order(job) for other in others if other.status is not JobStatus.PENDING
        )
        return line if has_turn or waits_before else None


def gates_of(job: MemoryJob, limits: Mapping[tuple[str, str], T]) -> Iterator[tuple[str, T]]:
    """Yield the gates at which a job counts, each with what there is of it in ``limits`` by kind and name."""
    names = {"type": job.job_type, "queue": job.queue_name, "product": job.product}
    if job.concurrency_key is not None:
        names["key"] = job.concurrency_key
    for kind, name in names.items():
        limit = name.partition(":")[0] if kind == "key" else name
        if (found := limits.get((kind, limit))) is not None:
            yield f"{kind[0]}:{job.product}:{name}" if kind != "product" else f"p:{name}", found
