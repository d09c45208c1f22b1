"""What the storage page shows: the report of the job table, what is wrong with it, and the times of retention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.retention import Period, retention_policy
from pleme_redis_django.durations import duration
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.monitoring.storage import OVERDUE_COUNTED, storage_report
from pleme_redis_django.monitoring.storage_warnings import described, storage_warnings

BAR_WIDTH = 1_000


def storage_context(model: type[AbstractJob]) -> dict[str, Any]:
    report = storage_report(model)
    dead = 0.0 if report.table is None else BAR_WIDTH * report.table.dead_share
    return {
        "report": report,
        "warnings": storage_warnings(report),
        "holder": report.snapshot and described(report.snapshot),
        "bar_width": BAR_WIDTH,
        # Whatever is not nothing shows.
        "dead_width": round(max(dead, 4) if dead else 0),
        "kept": _kept_in_words(),
        "overdue_counted": OVERDUE_COUNTED,
    }


def _kept_in_words() -> list[tuple[str, str]]:
    policy = retention_policy(get_settings().retention)
    named = [
        *((f"queue {name}", periods) for name, periods in sorted(policy.of_queues.items())),
        *((f"product {name}", periods) for name, periods in sorted(policy.of_products.items())),
    ]
    return [("", _periods(policy.periods)), *((who, _periods(periods)) for who, periods in named)]


def _periods(periods: Mapping[str, Period]) -> str:
    return ", ".join(
        f"{status} {'for ever' if period is None else duration(period.total_seconds())}"
        for status, period in periods.items()
    )
