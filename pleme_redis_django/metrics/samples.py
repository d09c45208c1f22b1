"""The newest measurement of a job table as viewers read it, and the mark by which they ask for more of them."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from pleme_redis_django.conf import get_settings
from pleme_redis_django.metrics.measured import MeasuredAt
from pleme_redis_django.models import AbstractJob, QueueSample, model_label

# While the mark is younger, the sampler measures every two seconds; however many look, one write renews it.
MARK_EVERY = timedelta(seconds=10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the sampler wrote last."""

    measured: MeasuredAt
    queues: list[dict[str, Any]]


def read_sample(model: type[AbstractJob]) -> Sample:
    """Return the newest measurement, and note that somebody looks; one query, or two every ten seconds."""
    rows = QueueSample._base_manager.using(get_settings().database).filter(job_model=model_label(model))
    row: Any = rows.annotate(now=Now()).first()
    if row is None:
        return Sample(measured=MeasuredAt(now=timezone.now(), at=None), queues=[])
    if row.watched_at is None or row.now - row.watched_at >= MARK_EVERY:
        # Of many that look at once, one writes.
        rows.filter(Q(watched_at=None) | Q(watched_at=row.watched_at)).update(watched_at=Now())
    measured = MeasuredAt(now=row.now, at=row.measured_at, next_at=row.next_measure_at)
    return Sample(measured=measured, queues=row.queues)
