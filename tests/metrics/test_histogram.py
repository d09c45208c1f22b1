"""Log-bucket histograms: they merge, and their percentiles are close to the exact ones."""

from __future__ import annotations

import json
import math
import random
from collections import Counter

import pytest

from pleme_redis_django.metrics import histogram
from pleme_redis_django.metrics.histogram import LAST_BUCKET, bucket_of, merged, middle_of, percentile

WIDTH = 2 ** (1 / 4)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.99, 1.0])
def test_a_percentile_is_within_nine_percent_of_the_exact_one(share: float) -> None:
    durations = sorted(random.Random(7).lognormvariate(0, 2) for _ in range(5_000))
    exact = durations[math.ceil(share * len(durations)) - 1]
    found = percentile(Counter(map(bucket_of, durations)), share)
    assert found == pytest.approx(exact, rel=0.095)


def test_merging_is_the_histogram_of_all() -> None:
    durations = [random.Random(3).expovariate(1) for _ in range(1_000)]
    parts = [Counter(map(bucket_of, durations[start::7])) for start in range(7)]
    assert merged(parts) == Counter(map(bucket_of, durations))


@pytest.mark.parametrize("seconds", [0.0015, 0.01, 1, 59, 3_600, 86_400, 1_000_000])
def test_a_bucket_holds_its_duration(seconds: float) -> None:
    middle = middle_of(bucket_of(seconds))
    assert middle / WIDTH**0.501 <= seconds <= middle * WIDTH**0.501


def test_what_is_out_of_range_counts_at_the_ends() -> None:
    assert [bucket_of(seconds) for seconds in (-5, 0, 0.001)] == [0, 0, 0]
    assert [bucket_of(seconds) for seconds in (1e9, 1e300)] == [LAST_BUCKET, LAST_BUCKET]


def test_nothing_has_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({3: 0}, 0.5) is None


def test_it_survives_json() -> None:
    full = Counter({0: 3, 17: 1, 127: 10**9})
    assert histogram.from_json(json.loads(json.dumps(histogram.to_json(full)))) == full
