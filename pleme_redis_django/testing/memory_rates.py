"""MemoryRates: the rates of a MemoryJobStore, by the rules of a database's: tokens are taken when a job starts."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from uuid import UUID

from pleme_redis_django.jobs.definitions.limits import Rate
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.token_bucket import LET_SECONDS, TokenBucket, bucket_at
from pleme_redis_django.testing.memory_job import MemoryJob, claim_order
from pleme_redis_django.testing.memory_limits import gates_of

TOKEN_PREFIX = "r:"  # noqa: S105 - of a rate
# Times are whole microseconds, as in a database: floating point would be a token short now and then.
MICROSECONDS = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KnownRate:
    """The numbers of one rate; 0 starts: a pause."""

    starts: int
    per_seconds: float
    burst: int

    @property
    def every_seconds(self) -> float | None:
        """How long it takes until another token is back; None: none ever is."""
        return self.per_seconds / self.starts if self.starts else None


@dataclasses.dataclass(slots=True)
class RateGate:
    """What is kept of the bucket of one gate."""

    full_again_at: int = 0
    """In microseconds."""
    every_seconds: float | None = None
    """With which spacing that was reckoned."""
    let: dict[UUID, int] = dataclasses.field(default_factory=dict)
    """Who was let through when, and has not taken its tokens so far."""


class MemoryRates:
    """How many jobs of a key, a job type, a queue or a product start in a time, each product by itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rates: dict[tuple[str, str], KnownRate] = {}
        self._gates: defaultdict[str, RateGate] = defaultdict(RateGate)

    def set(self, kind: str, name: str, starts: int | None, per_seconds: float, burst: int | None) -> None:
        """Let so many jobs of a name start in each period; None: any number. Raises InvalidJobDefinition."""
        if starts is None:
            self._rates.pop((kind, name), None)
            return
        rate = Rate(starts or 1, per_seconds=per_seconds, burst=burst)
        self._rates[kind, name] = KnownRate(
            starts=starts, per_seconds=rate.per_seconds, burst=rate.most_at_once
        )

    def start(self, jobs: Sequence[MemoryJob]) -> list[MemoryJob]:
        """Take the tokens of jobs, in their order; return those that got them. The others wait.

        Behind one that lacks some, no other of its gate starts.
        """
        started: list[MemoryJob] = []
        exhausted: set[str] = set()
        for job in jobs:
            rates = list(self._rates_of(job))
            lacking = [
                gate for gate, rate in rates if gate in exhausted or self._bucket(gate, rate).free < job.cost
            ]
            exhausted.update(lacking)
            if lacking:
                job.status, job.blocked_on = JobStatus.BLOCKED, TOKEN_PREFIX + lacking[0]
                continue
            for gate, rate in rates:
                self._take(gate, rate, job)
            started.append(job)
        return started

    def let_through(self, jobs: Collection[MemoryJob]) -> list[MemoryJob]:
        """Return those that may try again: as many as there are tokens, and whoever waits at a rate that has ended."""
        through: list[MemoryJob] = []
        for gate, waiting in self._waiting(jobs).items():
            rate = self._rate_at(gate, waiting[0])
            free = math.inf if rate is None else self._bucket(gate, rate).free - self._expected(gate, jobs)
            for job in waiting:
                free -= job.cost
                if free < 0:
                    break
                self._gates[gate].let[job.id] = self._now()
                through.append(job)
        return through

    def next_in(self, jobs: Collection[MemoryJob]) -> float | None:
        """Return in how many seconds the first of those that wait may try again; None: nobody waits, or in a pause."""
        found = [self._wait_at(gate, waiting[0], jobs) for gate, waiting in self._waiting(jobs).items()]
        return min((seconds for seconds in found if seconds is not None), default=None)

    def _wait_at(self, gate: str, head: MemoryJob, jobs: Collection[MemoryJob]) -> float | None:
        rate = self._rate_at(gate, head)
        if rate is None:
            return 0.0
        expected = self._expected(gate, jobs)
        seconds = self._bucket(gate, rate).seconds_until(expected + head.cost)
        if seconds is None:
            return None
        in_time = _microseconds(seconds) / MICROSECONDS
        return min(in_time, LET_SECONDS) if expected else in_time

    def _take(self, gate: str, rate: KnownRate, job: MemoryJob) -> None:
        kept, now = self._gates[gate], self._now()
        kept.let.pop(job.id, None)
        every = rate.every_seconds
        if every is None:
            return
        if kept.every_seconds in (None, every):
            kept.full_again_at = max(kept.full_again_at, now) + _microseconds(job.cost * every)
        else:
            bucket = self._bucket(gate, rate).without(job.cost)
            kept.full_again_at = now + _microseconds(bucket.full_again_seconds)
        kept.every_seconds = every

    def _bucket(self, gate: str, rate: KnownRate) -> TokenBucket:
        kept = self._gates[gate]
        return bucket_at(
            rate=rate.starts,
            per_seconds=rate.per_seconds,
            burst=rate.burst,
            full_again_in=(kept.full_again_at - self._now()) / MICROSECONDS,
            spacing_seconds=kept.every_seconds,
        )

    def _expected(self, gate: str, jobs: Collection[MemoryJob]) -> int:
        """Return how many tokens are of those that were let through and have not come yet.

        After a while they do not come at all for now: one may have been cancelled, or its queue be paused.
        """
        let, since = self._gates[gate].let, self._now() - _microseconds(LET_SECONDS)
        return sum(job.cost for job in jobs if job.is_ready() and let.get(job.id, since) > since)

    def _waiting(self, jobs: Collection[MemoryJob]) -> dict[str, list[MemoryJob]]:
        """Return who waits for tokens, by gate and in claim order."""
        waiting: defaultdict[str, list[MemoryJob]] = defaultdict(list)
        for job in sorted(jobs, key=claim_order):
            if job.status is JobStatus.BLOCKED and not job.deleted and waits_for_token(job):
                waiting[(job.blocked_on or "").removeprefix(TOKEN_PREFIX)].append(job)
        return waiting

    def _rate_at(self, gate: str, job: MemoryJob) -> KnownRate | None:
        return dict(self._rates_of(job)).get(gate)

    def _rates_of(self, job: MemoryJob) -> Iterator[tuple[str, KnownRate]]:
        return gates_of(job, self._rates)

    def _now(self) -> int:
        return round(self._clock() * MICROSECONDS)


def waits_for_token(job: MemoryJob) -> bool:
    """Whether the job waits for a token of a rate, and not for a place or its turn."""
    return job.blocked_on is not None and job.blocked_on.startswith(TOKEN_PREFIX)


def _microseconds(seconds: float) -> int:
    """Return whole microseconds, rounded up: rounded down, a rate would be passed in the end."""
    return math.ceil(round(seconds * MICROSECONDS, 3))
