"""Since when jobs have waited at each gate, as the sweep records it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import FullGate, Job
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow import full_gates
from tests.rows import BACKENDS, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


@pytest.fixture
def store(using: str) -> OrmJobStore[Any]:
    set_limit("key", "customer", max_running=0, using=using)
    return OrmJobStore(Job, using=using)


def blocked(using: str, gate: str) -> Any:
    return make_job(using, status=JobStatus.BLOCKED, blocked_on=gate, concurrency_key="customer:1")


def rows(using: str) -> Any:
    return FullGate.objects.using(using).filter(job_model="pleme_redis_django.job")


def gates(using: str) -> list[str]:
    return sorted(rows(using).values_list("gate", flat=True))


def test_a_gate_is_full_from_the_first_sweep_that_finds_jobs_waiting_until_none_does(
    using: str, store: OrmJobStore[Any]
) -> None:
    first = blocked(using, "k:default:customer:1")
    token = blocked(using, "r:k:default:customer:2")
    blocked(using, "o:default:customer:3")
    store.release_overlooked()
    assert gates(using) == ["k:default:customer:1", "k:default:customer:2"], "a line is no limit"
    rows(using).update(since=F("since") - timedelta(hours=2))
    before = dict(rows(using).values_list("gate", "since"))
    blocked(using, "k:default:customer:1")
    first.delete()
    token.delete()
    store.release_overlooked()
    assert dict(rows(using).values_list("gate", "since")) == {
        "k:default:customer:1": before["k:default:customer:1"]
    }, "others have come and gone meanwhile"


def test_what_no_sweep_has_seen_for_long_begins_anew(using: str, store: OrmJobStore[Any]) -> None:
    for number in (1, 2):
        blocked(using, f"k:default:customer:{number}")
    store.release_overlooked()
    long_ago = rows(using).values_list("since", flat=True)[0] - timedelta(days=1)
    rows(using).update(since=long_ago)
    rows(using).filter(gate="k:default:customer:1").update(seen_at=long_ago)
    for _ in range(2):
        store.release_overlooked()
        since = dict(rows(using).values_list("gate", "since"))
        assert since["k:default:customer:1"] > long_ago == since["k:default:customer:2"]
    assert rows(using).filter(seen_at__gt=long_ago + timedelta(days=1)).count() == 2


def test_when_nobody_waits_none_is_full_and_a_sweep_asks_nothing_more(
    using: str, store: OrmJobStore[Any]
) -> None:
    left = rows(using).create(job_model="pleme_redis_django.job", gate="k:default:customer:1")
    other = rows(using).create(job_model="shop.emailjob", gate="k:default:customer:1")
    store.release_overlooked()
    assert not rows(using).filter(pk=left.pk).exists(), "another process had left it"
    assert FullGate.objects.using(using).filter(pk=other.pk).exists()
    with CaptureQueriesContext(connections[using]) as asked:
        store.release_overlooked()
    assert [query["sql"] for query in asked if "fullgate" in query["sql"].lower()] == []
    blocked(using, "k:default:customer:1")
    store.release_overlooked()
    Job.objects.using(using).all().delete()
    store.release_overlooked()
    assert gates(using) == []


def test_it_looks_again_for_what_another_process_has_left_meanwhile(
    using: str, store: OrmJobStore[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.release_overlooked()
    rows(using).create(job_model="pleme_redis_django.job", gate="k:default:customer:1")
    monkeypatch.setattr(full_gates, "LOOK_AGAIN_SECONDS", 0.0)
    store.release_overlooked()
    assert gates(using) == []


def test_so_many_are_recorded_at_a_look_and_in_all(
    using: str, store: OrmJobStore[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_gates, "NEW_GATES", 2)
    monkeypatch.setattr(full_gates, "GATES_KEPT", 3)
    for number in range(5):
        blocked(using, f"k:default:customer:{number}")
    counts = []
    for _ in range(3):
        store.release_overlooked()
        counts.append(len(gates(using)))
    assert counts == [2, 3, 3]
