"""What the duty for overlooked jobs has found of late, in words: whoever should have let them in has died."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Sum

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.durations import counted
from pleme_redis_django.metrics.rollups import FINEST, RollupStore
from pleme_redis_django.models import AbstractJob, model_label
from pleme_redis_django.monitoring.figures import Reason

OF_LATE_SECONDS = 3600


def overlooked_reasons(scope: ProductScope, now: datetime, model: type[AbstractJob]) -> list[Reason]:
    """Return a note if jobs were overlooked in the last hour; one query. Which product's they were is not counted."""
    if scope.products is not None:
        return []
    store = RollupStore(job_model=model_label(model), using=get_settings().database)
    steps = store.rows(FINEST).filter(product="", queue_name="")
    found = steps.filter(started_at__gte=now.timestamp() - OF_LATE_SECONDS).aggregate(jobs=Sum("overlooked"))
    if not found["jobs"]:
        return []
    text = f"{counted(found['jobs'], 'job')} waited at a limit or in a line in the last hour although nothing held them"
    return [
        Reason(level="note", text=f"{text}: a process that should have let them in has died, or was held up")
    ]
