"""Fair claims: each product its share, priorities within it, and all that holds for other claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from pleme_redis_django.jobs.interface.fair_shares import SHARE
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import Job, QueuePause, model_label
from pleme_redis_django.operations import set_limit
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.fairness import rotation
from pleme_redis_django.orm_store.fairness.index import FairIndex
from tests.orm_store.claimed_jobs import completed, statements
from tests.rows import BACKENDS, make_job

pytestmark = pytest.mark.django_db(databases=BACKENDS)

FAIR = JobSelection(fair=True)
MAIL = JobSelection(fair=True, queue_names=("mail",))


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest) -> Iterator[OrmJobStore[Job]]:
    using = request.param
    for by_queue in (False, True):
        FairIndex(model=Job, using=using, by_queue=by_queue).make()
    yield OrmJobStore(Job, using=using)


@pytest.fixture
def no_look_is_due_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, the first look at the products is the only one."""
    monkeypatch.setattr(rotation, "LOOK_SECONDS", 86_400.0)
    monkeypatch.setattr(rotation, "MAX_SECONDS_WITHOUT_HEAD", 86_400.0)


def make_jobs(store: OrmJobStore[Job], count: int, product: str, **fields: object) -> list[Job]:
    return [make_job(store.using, product=product, **fields) for _ in range(count)]


def claim(store: OrmJobStore[Job], limit: int, selection: JobSelection = FAIR) -> list[Job]:
    return list(store.claim_jobs(str(uuid4()), limit, selection))


def products(jobs: list[Job]) -> Counter[str]:
    return Counter(job.product for job in jobs)


def test_a_small_product_does_not_wait_behind_a_big_one(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 60, "big")
    claim(store, 4)
    make_jobs(store, 2, "small")
    assert products(claim(store, 10))["small"] == 2


def test_a_product_that_a_hint_names_is_in_at_once(
    store: OrmJobStore[Job], no_look_is_due_again: None
) -> None:
    make_jobs(store, 60, "big")
    claim(store, 4)
    claim(store, 4)  # It looked which products there are, and will not for a second.
    make_jobs(store, 2, "small")
    assert products(claim(store, 10)) == {"big": 10}
    store.hear_of(FAIR, ["small"])
    jobs = claim(store, 10)
    assert products(jobs) == {"small": 2, "big": 8}
    assert jobs[0].product == "small", "whose turn it is stands in front"


def test_claims_that_known_products_fill_look_for_others_all_the_same(store: OrmJobStore[Job]) -> None:
    """A retry, a scheduled job, one that is let in at a limit: no hint names their products."""
    make_jobs(store, 1, "a")
    claim(store, 10)  # Nothing is left, and no look is due.
    for product in ("a", "b"):
        make_jobs(store, 40, product)
    store.hear_of(FAIR, ["a", "b"])
    claim(store, 8)
    make_jobs(store, 1, "unnamed")
    jobs = [job for _ in range(3) for job in claim(store, 8)]  # Each of the others may have its turn before.
    assert products(jobs)["unnamed"] == 1


def test_products_share_by_their_weights(store: OrmJobStore[Job], settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "PRODUCT_WEIGHTS": {"gold": 3}}
    for product in ("gold", "tin"):
        make_jobs(store, 70, product)
    claim(store, 1)
    store.hear_of(FAIR, ["gold", "tin"])
    taken = products([job for _ in range(5) for job in claim(store, 16)])
    assert abs(taken["gold"] - 60) <= 4


@pytest.mark.usefixtures("no_claim_is_slow")
def test_a_full_limit_of_a_flood_takes_no_share_from_others_and_gives_its_places_on(
    store: OrmJobStore[Job],
) -> None:
    set_limit("key", "stripe", max_running=2, using=store.using)
    make_jobs(store, 12, "big", concurrency_key="stripe")
    make_jobs(store, 4, "small", concurrency_key="stripe")
    free = make_jobs(store, 3, "small")
    started: list[Job] = []
    while claimed := claim(store, 8):
        running = Job.objects.using(store.using).filter(status="RUNNING", concurrency_key="stripe")
        assert max(products(list(running)).values(), default=0) <= 2, "each product has its own two places"
        started += claimed
        assert all(store.finish_jobs([completed(job) for job in claimed]))
        store.release_after(claimed)
    assert products(started) == {"big": 12, "small": 7}
    last_free = max(started.index(job) for job in free)
    assert products(started[: last_free + 1])["big"] <= 4, "what waits of the flood holds nobody up"


def test_priorities_order_within_a_product(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 10, "big", priority=50)
    low, high = make_jobs(store, 1, "small")[0], make_jobs(store, 1, "small", priority=9)[0]
    claim(store, 1)
    store.hear_of(FAIR, ["small", "big"])
    of_small = [job.id for job in claim(store, 6) if job.product == "small"]
    assert of_small == [high.id, low.id]


def test_everything_is_claimed_whoever_has_it(store: OrmJobStore[Job]) -> None:
    made = {job.id for product in "abcdefgh" for job in make_jobs(store, 3, product)}
    found = {job.id for _ in range(5) for job in claim(store, 6)}
    assert found == made


def test_claims_are_as_those_of_everybody(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 5, "a")
    make_jobs(store, 5, "b")
    claim(store, 1)
    store.hear_of(FAIR, "ab")
    for job in claim(store, 4):
        row = Job.objects.using(store.using).get(id=job.id)
        assert job.attempt == row.attempt == 1
        assert job.claim == row.claim
        assert row.status == "RUNNING"
        assert row.claimed_at is not None


def test_paused_queues_stay_closed(store: OrmJobStore[Job]) -> None:
    QueuePause.objects.using(store.using).create(job_model=model_label(Job), queue_name="mail")
    QueuePause.objects.using(store.using).create(
        job_model=model_label(Job), queue_name="default", product="b"
    )
    make_jobs(store, 5, "a", queue_name="mail")
    make_jobs(store, 5, "a")
    make_jobs(store, 5, "b")
    make_jobs(store, 5, "c")
    taken: list[Job] = []
    for _ in range(6):
        store.hear_of(FAIR, "abc")
        taken += claim(store, 4)
    assert products(taken) == {"a": 5, "c": 5}
    assert {job.queue_name for job in taken} == {"default"}


def test_a_pause_that_is_not_known_yet_stops_claims(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 9, "a")
    make_jobs(store, 9, "b")
    claim(store, 2)
    store.hear_of(FAIR, "ab")
    QueuePause.objects.using(store.using).create(
        job_model=model_label(Job), queue_name="default", product="a"
    )
    assert products(claim(store, 4)) == {"b": 4}


def test_types_that_the_worker_does_not_know_are_left_alone(store: OrmJobStore[Job]) -> None:
    selection = JobSelection(fair=True, job_types=frozenset({"known"}))
    make_jobs(store, 5, "a", job_type="unknown")
    make_jobs(store, 5, "a", job_type="known")
    make_jobs(store, 5, "b", job_type="known")
    claim(store, 1, selection)
    store.hear_of(selection, "ab")
    taken = claim(store, 20, selection)
    assert products(taken).total() == 9
    assert {job.job_type for job in taken} == {"known"}


def test_a_pool_of_one_queue_shares_that_queue(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 30, "big", queue_name="mail")
    make_jobs(store, 30, "big", queue_name="bulk")
    claim(store, 2, MAIL)
    make_jobs(store, 3, "small", queue_name="mail")
    make_jobs(store, 3, "small", queue_name="bulk")
    taken = claim(store, 10, MAIL)
    assert products(taken) == {"small": 3, "big": 7}
    assert {job.queue_name for job in taken} == {"mail"}


def test_a_pool_of_several_queues_shares_all_of_them(store: OrmJobStore[Job]) -> None:
    selection = JobSelection(fair=True, queue_names=("mail", "print"))
    make_jobs(store, 30, "big", queue_name="mail")
    make_jobs(store, 30, "big", queue_name="print")
    make_jobs(store, 30, "small", queue_name="print")
    make_jobs(store, 30, "small", queue_name="bulk")
    claim(store, 2, selection)
    taken = claim(store, 32, selection)
    assert abs(products(taken)["big"] - 16) <= 4
    assert {job.queue_name for job in taken} == {"mail", "print"}


def test_suspects_are_left_to_their_own_turns(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 2, "a", crash_count=2)
    make_jobs(store, 2, "b")
    store.hear_of(FAIR, "ab")
    assert products(claim(store, 10)) == {"b": 2}


def test_without_the_index_claims_are_in_their_order(
    store: OrmJobStore[Job], caplog: pytest.LogCaptureFixture
) -> None:
    table = Job._meta.db_table
    with connections[store.using].cursor() as cursor:
        cursor.execute(f'DROP INDEX "{table}_fair"')
    make_jobs(store, 20, "big")
    make_jobs(store, 2, "small")
    for _ in range(3):
        store.hear_of(FAIR, ["small"])
        assert products(claim(store, 4)) == {"big": 4}
    assert caplog.text.count(f"lacks the index {table}_fair") == 1
    assert "manage.py migrate" in caplog.text


def test_one_product_alone_costs_what_it_costs_everybody(
    store: OrmJobStore[Job], no_look_is_due_again: None, no_claim_is_slow: None
) -> None:
    make_jobs(store, 50, "a")
    claim(store, 2)
    claim(store, 2)
    fair = statements(store.using, lambda: claim(store, 2))
    plain = OrmJobStore(Job, using=store.using)
    for _ in range(2):  # As often: what a store has learned of its claims may cost a statement.
        claim(plain, 2, JobSelection())
    assert fair == statements(store.using, lambda: claim(plain, 2, JobSelection()))


def test_a_product_with_one_job_costs_no_further_statement(
    store: OrmJobStore[Job], no_look_is_due_again: None, no_claim_is_slow: None
) -> None:
    make_jobs(store, 150, "big")
    claim(store, SHARE)
    claim(store, SHARE)  # It looked which products there are, and will not for a while.
    spent = []
    for count in (20, 1):
        make_jobs(store, count, "small")
        store.hear_of(FAIR, ["small"])
        spent.append(statements(store.using, lambda: claim(store, 20)))
        small = Job.objects.using(store.using).filter(product="small", status="QUEUED")
        while small.exists():
            claim(store, 4)
        claim(store, 2 * SHARE)  # It leaves.
    assert spent[1] == spent[0]


def test_a_product_that_had_none_is_told_once(store: OrmJobStore[Job]) -> None:
    make_jobs(store, 60, "big")
    claim(store, 4)
    claim(store, 4)
    make_jobs(store, 1, "small")
    assert set(store.hear_of(FAIR, ["small", "big"])) == {"small"}
    assert set(store.hear_of(FAIR, ["small"])) == set()
