"""Every number of a worker pool: documented names, defaults, presets and ranges."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pleme_redis_django import WorkerPoolConfig
from pleme_redis_django.exceptions import InvalidSettings

DOCUMENTED_DEFAULTS = {
    "worker_count": 10,
    "queue_key": "jobs",
    "poll_timeout": 30,
    "max_retries": 3,
    "base_retry_delay": 60,
    "max_retry_delay": 3600,
    "stale_job_threshold_seconds": 7200,
    "stale_check_interval_seconds": 300,
}
OUR_DEFAULTS = {
    "queues": ("*",),
    "product": None,
    "fair": False,
    "aging_seconds_per_point": None,
    "async_count": 300,
    "heartbeat_seconds": 5,
    "lease_seconds": 25,
    "lease_sweep_seconds": 5,
    "grace_seconds": 30,
    "max_crashes": 3,
    "max_unseen_deaths": 10,
    "retry_delay": None,
    "retry_on": (),
    "no_retry_on": (),
    "timeout": None,
    "kill_after": 30,
    "interrupt": True,
    "retry_on_timeout": True,
    "atomic": False,
    "isolated": False,
    "deadline": None,
    "max_jobs_per_process": None,
    "max_process_age_seconds": None,
    "max_process_memory_mb": None,
}
PRESETS: dict[str, dict[str, Any]] = {
    "high_throughput": {
        "worker_count": 50,
        "async_count": 1_000,
        "poll_timeout": 10,
        "stale_job_threshold_seconds": 3600,
        "stale_check_interval_seconds": 60,
    },
    "unreliable_network": {
        "worker_count": 3,
        "poll_timeout": 60,
        "stale_job_threshold_seconds": 14400,
        "stale_check_interval_seconds": 300,
        "max_retries": 5,
        "base_retry_delay": 120,
    },
    "development": {
        "worker_count": 2,
        "poll_timeout": 5,
        "stale_job_threshold_seconds": 300,
        "stale_check_interval_seconds": 60,
    },
}


def test_the_defaults_are_the_documented_ones() -> None:
    assert dataclasses.asdict(WorkerPoolConfig()) == DOCUMENTED_DEFAULTS | OUR_DEFAULTS


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_changes_only_its_documented_numbers(preset: str) -> None:
    config = getattr(WorkerPoolConfig, preset)()
    assert dataclasses.asdict(config) == DOCUMENTED_DEFAULTS | OUR_DEFAULTS | PRESETS[preset]


def test_an_override_wins_over_its_preset() -> None:
    config = WorkerPoolConfig.high_throughput(worker_count=4)
    assert (config.worker_count, config.poll_timeout) == (4, 10)


BOUNDS = [
    ("worker_count", 0, 1_000),
    ("poll_timeout", 0.05, 3_600),
    ("max_retries", 0, 1_000),
    ("base_retry_delay", 0, 86_400),
    ("max_retry_delay", 0, 2_592_000),
    ("stale_job_threshold_seconds", 1, 2_592_000),
    ("stale_check_interval_seconds", 0.1, 86_400),
    ("async_count", 0, 10_000),
    ("lease_sweep_seconds", 0.05, 3_600),
    ("grace_seconds", 0, 86_400),
    ("max_crashes", 3, 1_000),
]


@pytest.mark.parametrize(("field", "low", "high"), BOUNDS)
def test_a_number_is_accepted_up_to_its_bounds_and_no_further(field: str, low: float, high: float) -> None:
    for value in (low, high):
        assert getattr(WorkerPoolConfig(**{field: value}), field) == value
    for value in (low - 1, high + 1, -1):
        with pytest.raises(InvalidSettings, match=rf"{field} is .*Accepted: a .*number from"):
            WorkerPoolConfig(**{field: value})


@pytest.mark.parametrize("field", [field for field, _low, _high in BOUNDS])
@pytest.mark.parametrize("value", [True, None, "5", float("nan"), float("inf"), [1]], ids=repr)
def test_what_is_no_number_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidSettings, match=field):
        WorkerPoolConfig(**{field: value})


def test_a_lease_holds_two_heartbeats() -> None:
    assert WorkerPoolConfig(heartbeat_seconds=1, lease_seconds=2).lease_seconds == 2
    with pytest.raises(InvalidSettings, match="at least two heartbeats"):
        WorkerPoolConfig(heartbeat_seconds=1, lease_seconds=1.9)


def test_a_pool_that_could_run_nothing_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="both 0"):
        WorkerPoolConfig(worker_count=0, async_count=0)
    assert WorkerPoolConfig(worker_count=0).async_count == 300


@pytest.mark.parametrize("queues", ["email", [], (), ["a b"], [""], [1], ["a:b"], None, ["email", "x\n"]])
def test_bad_queues_are_refused(queues: Any) -> None:
    with pytest.raises(InvalidSettings, match="queues"):
        WorkerPoolConfig(queues=queues)


def test_every_queue_wins_over_named_ones() -> None:
    assert WorkerPoolConfig(queues=["email", "*"]).queue_names is None
    assert WorkerPoolConfig(queues=["email"]).queue_names == ("email",)


@pytest.mark.parametrize("queue_key", ["", "a b", "{jobs}", "*", 5, None])
def test_a_bad_namespace_of_hints_is_refused(queue_key: Any) -> None:
    with pytest.raises(InvalidSettings, match="queue_key"):
        WorkerPoolConfig(queue_key=queue_key)


def test_an_unknown_field_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(InvalidSettings, match=r'no field "worker_cuont"\. Did you mean worker_count\?'):
        WorkerPoolConfig.from_mapping({"worker_cuont": 5})
    with pytest.raises(InvalidSettings, match="Known fields: worker_count, queue_key"):
        WorkerPoolConfig.from_mapping({"zzz": 5})
