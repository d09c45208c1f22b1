"""Durations in fixed logarithmic buckets: histograms of any processes and times add up, and so do their percentiles.

A bucket is a fourth root of two (19 %) wide, from 1 ms to 42 days. A percentile is the geometric middle of
its bucket, and so at most 9 % off. The idea is that of HDR histograms and of Prometheus' native ones.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Iterable, Mapping

SMALLEST_SECONDS = 0.001
BUCKETS_PER_DOUBLING = 4
LAST_BUCKET = 127

# The longest duration of each bucket but the last, which has no end. Searched, since each job asks twice: a logarithm
# takes four times as long.
_UP_TO_SECONDS = [
    SMALLEST_SECONDS * math.exp2(bucket / BUCKETS_PER_DOUBLING) for bucket in range(LAST_BUCKET)
]

Histogram = Counter[int]
"""Bucket -> how many durations fell into it."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration; whatever lies outside the range counts in the first or the last."""
    return bisect.bisect_left(_UP_TO_SECONDS, seconds)


def middle_of(bucket: int) -> float:
    """Return the duration that stands for a bucket, in seconds."""
    return SMALLEST_SECONDS * math.exp2((bucket - 0.5) / BUCKETS_PER_DOUBLING)


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """Return the nearest-rank percentile in seconds, ``share`` from 0 to 1; None of nothing."""
    rank = max(math.ceil(share * sum(histogram.values())), 1)
    for bucket in sorted(histogram):
        rank -= histogram[bucket]
        if rank <= 0:
            return round(middle_of(bucket), 6)
    return None


def merged(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """Return the sum."""
    total: Histogram = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def to_json(histogram: Mapping[int, int]) -> dict[str, int]:
    """Return it as JSON keeps it: keys are text."""
    return {str(bucket): jobs for bucket, jobs in histogram.items()}


def from_json(stored: Mapping[str, int]) -> Histogram:
    return Counter({int(bucket): jobs for bucket, jobs in stored.items()})
