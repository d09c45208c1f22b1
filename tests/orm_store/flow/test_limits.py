"""Limits in the store: who may start, who waits, and who goes on when others have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from pleme_redis_django.jobs.interface.endings import Completed, GivenBack
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.maintenance.overlooked_jobs import release_overlooked_jobs
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.models import FlowLimit, Job
from pleme_redis_django.operations import cancel_jobs, change_priority, change_queue
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.orm_store.flow import declared, known_limits
from pleme_redis_django.orm_store.flow.admission import Claimant
from pleme_redis_django.orm_store.flow.limits import RELEASE_ROWS
from tests.jobs.recording import MemoryHints, RecordingSink
from tests.rows import BACKENDS, ago, make_job

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
    pytest.mark.usefixtures("no_claim_is_slow"),
]
EVERYTHING, SUSPECTS = JobSelection(), JobSelection(suspects=True)
ONE, OTHER = str(uuid4()), str(uuid4())


@pytest.fixture
def store(using: str) -> OrmJobStore[Any]:
    return OrmJobStore(Job, using=using)


@pytest.fixture(autouse=True)
def _read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a change be noticed by the next claim, instead of half a second later; no job of a test declares any."""
    monkeypatch.setattr(known_limits, "REREAD_SECONDS", 0.0)
    monkeypatch.setattr(declared, "declared_limits", lambda model: {})


def limited(using: str, name: str, kind: str = "key", **fields: Any) -> FlowLimit:
    values = {"job_model": "pleme_redis_django.job", "source": "admin", "max_running": 2, **fields}
    return FlowLimit.objects.using(using).create(kind=kind, name=name, **values)


def jobs(using: str, count: int, **fields: Any) -> list[Any]:
    return [make_job(using, **{"concurrency_key": "stripe", **fields}) for _ in range(count)]


def end(store: OrmJobStore[Any], ended: Sequence[Any]) -> list[str]:
    accepted = store.finish_jobs([Completed(job_id=job.id, claim=job.claim) for job in ended])
    assert all(accepted)
    return list(store.release_after(ended))


def counts(using: str, **filters: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for status in Job.objects.using(using).filter(**filters).values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


KINDS = [
    ("key", "stripe", {"concurrency_key": "stripe"}, {"concurrency_key": "paypal"}),
    ("key", "customer", {"concurrency_key": "customer:1"}, {"concurrency_key": "customer:2"}),
    ("type", "shop.pay", {"job_type": "shop.pay"}, {"job_type": "shop.mail"}),
    ("queue", "mail", {"queue_name": "mail"}, {"queue_name": "other"}),
    ("product", "ours", {"product": "ours"}, {"product": "theirs"}),
]


@pytest.mark.parametrize(("kind", "name", "within", "without"), KINDS)
def test_no_more_run_than_the_limit_and_others_are_not_held_up(
    using: str, store: OrmJobStore[Any], kind: str, name: str, within: Any, without: Any
) -> None:
    limited(using, name, kind)
    for _ in range(5):
        make_job(using, **within)
    free = [make_job(using, **without) for _ in range(2)]
    claimed = store.claim_jobs(ONE, 10, EVERYTHING)
    assert len(claimed) == 4 and {job.id for job in free} <= {job.id for job in claimed}
    assert counts(using, **within) == {"RUNNING": 2, "BLOCKED": 3}
    assert store.claim_jobs(OTHER, 10, EVERYTHING) == []


@pytest.mark.parametrize(("kind", "name", "within", "without"), KINDS)
def test_an_ending_lets_in_as_many_as_have_ended(
    using: str, store: OrmJobStore[Any], kind: str, name: str, within: Any, without: Any
) -> None:
    limited(using, name, kind)
    waiting = [make_job(using, **within) for _ in range(5)]
    first, second = store.claim_jobs(ONE, 10, EVERYTHING)
    assert end(store, [first]) == [first.queue_name]
    (third,) = store.claim_jobs(ONE, 10, EVERYTHING)
    assert third.id == waiting[2].id, "in claim order"
    assert end(store, [second, third]) == [first.queue_name] * 2
    rest = store.claim_jobs(ONE, 10, EVERYTHING)
    assert end(store, rest) == []
    assert counts(using) == {"COMPLETED": 5}


def test_each_product_has_its_own_limit_unless_it_is_shared(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe")
    limited(using, "bank", is_shared=True)
    for product in ("ours", "theirs"):
        jobs(using, 3, product=product)
        jobs(using, 3, product=product, concurrency_key="bank")
    claimed = store.claim_jobs(ONE, 20, EVERYTHING)
    assert sorted(job.concurrency_key for job in claimed) == ["bank"] * 2 + ["stripe"] * 4
    assert set(Job.objects.using(using).filter(status="BLOCKED").values_list("blocked_on", flat=True)) == {
        "k:ours:stripe",
        "k:theirs:stripe",
        "k::bank",
    }


def test_the_row_of_a_product_counts_before_that_of_every_product(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=1)
    limited(using, "stripe", product="ours", max_running=3)
    jobs(using, 5, product="ours")
    jobs(using, 5, product="theirs")
    claimed = store.claim_jobs(ONE, 20, EVERYTHING)
    assert sorted(job.product for job in claimed) == ["ours"] * 3 + ["theirs"]


def test_who_waits_stands_in_the_order_of_claims(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe", max_running=1)
    jobs(using, 1)
    (running,) = store.claim_jobs(ONE, 5, EVERYTHING)
    late, early, high = (
        make_job(using, concurrency_key="stripe", **fields)
        for fields in ({"run_after": ago(1)}, {"run_after": ago(5)}, {"priority": 5, "run_after": ago(1)})
    )
    assert store.claim_jobs(ONE, 5, EVERYTHING) == []
    order = []
    while running:
        end(store, [running])
        running = next(iter(store.claim_jobs(ONE, 5, EVERYTHING)), None)
        order.append(running and running.id)
    assert order == [high.id, early.id, late.id, None]


def test_a_waiting_job_of_another_priority_takes_its_place_among_those_that_wait(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=1)
    running, *waiting = jobs(using, 4)
    claimed = store.claim_jobs(ONE, 5, EVERYTHING)
    assert [job.id for job in claimed] == [running.id]
    assert change_priority(Job.objects.using(using).filter(pk=waiting[2].pk), 5) == 1
    assert change_priority(Job.objects.using(using).filter(pk=waiting[0].pk), -5) == 1
    order = []
    while claimed:
        end(store, claimed)
        claimed = store.claim_jobs(ONE, 5, EVERYTHING)
        order += [job.id for job in claimed]
    assert order == [waiting[2].id, waiting[1].id, waiting[0].id]


def test_a_job_that_waits_at_the_limit_of_its_queue_leaves_it_with_the_queue(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "mail", "queue", max_running=1)
    for _ in range(3):
        make_job(using, queue_name="mail")
    assert len(store.claim_jobs(ONE, 5, EVERYTHING)) == 1
    moved = Job.objects.using(using).filter(status="BLOCKED").first()
    assert moved is not None and moved.blocked_on == "q:default:mail"
    assert change_queue(Job.objects.using(using).filter(pk=moved.pk), "other") == 1
    assert [job.id for job in store.claim_jobs(OTHER, 5, EVERYTHING)] == [moved.id]
    assert counts(using, queue_name="mail") == {"RUNNING": 1, "BLOCKED": 1}


def test_a_limit_of_zero_is_a_pause(using: str, store: OrmJobStore[Any]) -> None:
    limit = limited(using, "stripe", max_running=0)
    jobs(using, 3)
    assert store.claim_jobs(ONE, 5, EVERYTHING) == []
    assert counts(using) == {"BLOCKED": 3}
    FlowLimit.objects.using(using).filter(pk=limit.pk).update(max_running=2)
    assert len(store.release_overlooked(at_once=True)) == 2


def test_a_lowered_limit_drains_down_and_a_raised_one_lets_in(using: str, store: OrmJobStore[Any]) -> None:
    limit = limited(using, "stripe", max_running=3)
    jobs(using, 6)
    running = list(store.claim_jobs(ONE, 3, EVERYTHING))
    FlowLimit.objects.using(using).filter(pk=limit.pk).update(max_running=1)
    assert end(store, [running.pop()]) == [] and store.claim_jobs(ONE, 3, EVERYTHING) == []
    assert end(store, [running.pop()]) == [] and store.claim_jobs(ONE, 3, EVERYTHING) == []
    assert end(store, [running.pop()]) == ["default"]
    FlowLimit.objects.using(using).filter(pk=limit.pk).update(max_running=10**9)
    assert len(store.claim_jobs(ONE, 3, EVERYTHING)) == 1
    assert len(store.release_overlooked(at_once=True)) == 2


def test_a_store_that_knows_no_limit_meets_one_at_its_next_claim(using: str, store: OrmJobStore[Any]) -> None:
    jobs(using, 1)
    assert len(store.claim_jobs(ONE, 5, EVERYTHING)) == 1
    limited(using, "stripe", max_running=2)
    jobs(using, 4)
    assert len(store.claim_jobs(ONE, 5, EVERYTHING)) == 1


def test_a_limit_that_is_gone_lets_everybody_go_on(using: str, store: OrmJobStore[Any]) -> None:
    limit = limited(using, "stripe", max_running=1)
    jobs(using, 4)
    store.claim_jobs(ONE, 5, EVERYTHING)
    FlowLimit.objects.using(using).filter(pk=limit.pk).delete()
    assert len(store.release_overlooked(at_once=True)) == 3
    assert len(store.claim_jobs(ONE, 5, EVERYTHING)) == 3


def test_a_job_at_two_full_gates_gives_its_place_at_the_other_back(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=1)
    limited(using, "mail", "queue", max_running=1)
    (first,) = jobs(using, 1, queue_name="other")
    store.claim_jobs(ONE, 1, EVERYTHING)
    both = make_job(using, concurrency_key="stripe", queue_name="mail", priority=5)
    queued = make_job(using, queue_name="mail")
    claimed = store.claim_jobs(ONE, 5, EVERYTHING)
    assert [job.id for job in claimed] == [queued.id]
    both.refresh_from_db()
    assert (both.status, both.blocked_on) == ("BLOCKED", "k:default:stripe")
    first.refresh_from_db()
    end(store, [first, *claimed])
    assert [job.id for job in store.claim_jobs(ONE, 5, EVERYTHING)] == [both.id]


def test_whom_a_claim_lets_in_as_it_steps_back_is_told_by_its_queue(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=1)
    limited(using, "tests.noop", "type", max_running=2)
    jobs(using, 1)
    store.claim_jobs(ONE, 1, EVERYTHING)
    waits = {"status": "BLOCKED", "blocked_on": "t:default:tests.noop"}
    other = make_job(using, queue_name="other", **waits)
    jobs(using, 1)
    only_default = JobSelection(queue_names=("default",))
    assert list(store.claim_jobs(ONE, 5, only_default)) == [], "it steps back at its key"
    assert list(store.released_by_claims()) == ["other"] and list(store.released_by_claims()) == []
    other.refresh_from_db()
    assert other.status == "QUEUED"


def test_a_heavy_job_takes_several_places(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe", max_running=5)
    light = jobs(using, 2)
    heavy = make_job(using, concurrency_key="stripe", cost=4)
    more = jobs(using, 3)
    claimed = list(store.claim_jobs(ONE, 10, EVERYTHING))
    assert [job.id for job in claimed] == [job.id for job in light]
    assert end(store, claimed) == ["default"] * 2
    assert [job.id for job in store.claim_jobs(ONE, 10, EVERYTHING)] == [heavy.id, more[0].id]


def test_a_job_that_costs_more_than_a_lowered_limit_waits_and_holds_nobody_of_another_key(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=2)
    heavy = make_job(using, concurrency_key="stripe", cost=3)
    other = make_job(using)
    assert [job.id for job in store.claim_jobs(ONE, 5, EVERYTHING)] == [other.id]
    assert store.release_overlooked(at_once=True) == []
    heavy.refresh_from_db()
    assert heavy.status == "BLOCKED"


def test_suspects_are_admitted_too(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe", max_running=1)
    jobs(using, 1)
    (running,) = store.claim_jobs(ONE, 5, EVERYTHING)
    suspect = make_job(using, concurrency_key="stripe", crash_count=2)
    assert store.claim_jobs(ONE, 1, SUSPECTS) == []
    end(store, [running])
    assert [job.id for job in store.claim_jobs(ONE, 1, SUSPECTS)] == [suspect.id]


def test_a_job_that_was_asked_to_end_between_its_claim_and_its_admission_ends(
    using: str, store: OrmJobStore[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(using, "stripe", max_running=1)
    _running, second = jobs(using, 2)
    statements = store._flow._admission._statements
    over = statements.gates_over

    def cancelled_first(*arguments: Any) -> Any:
        cancel_jobs(Job.objects.using(using).filter(pk=second.pk))
        return over(*arguments)

    monkeypatch.setattr(statements, "gates_over", cancelled_first)
    assert len(store.claim_jobs(ONE, 2, EVERYTHING)) == 1
    second.refresh_from_db()
    assert (second.status, second.blocked_on) == ("CANCELLED", None)


@pytest.mark.parametrize(
    "numbers",
    [{"max_running": 1}, {"max_running": None, "rate": 1, "per_seconds": 3_600, "burst": 1}],
    ids=["a limit", "a rate"],
)
def test_a_job_that_was_asked_to_end_before_its_admission_leaves_its_turn_to_the_next(
    using: str, store: OrmJobStore[Any], numbers: dict[str, Any]
) -> None:
    limited(using, "stripe", **numbers)
    jobs(using, 1)
    assert len(store.claim_jobs(OTHER, 1, EVERYTHING)) == 1
    (head,) = jobs(using, 1, order_key="order:1")
    behind = make_job(using, order_key="order:1", status="BLOCKED", blocked_on="o:default:order:1")
    claimed = store._claim(store._request(ONE, 5, EVERYTHING))
    cancel_jobs(Job.objects.using(using).filter(pk=head.pk))
    claimant = Claimant(worker_id=ONE, selection=EVERYTHING, pauses=store._pauses.current())
    assert list(store._flow.admit(claimant, claimed)) == []
    assert store.released_by_claims() == ["default"]
    for job in (head, behind):
        job.refresh_from_db()
    assert (head.status, behind.status) == ("CANCELLED", "QUEUED")


def test_a_claim_looks_for_others_in_place_of_those_that_stepped_back(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=1)
    jobs(using, 30)
    free = jobs(using, 5, concurrency_key=None)
    claimed = store.claim_jobs(ONE, 4, EVERYTHING)
    assert [job.concurrency_key for job in claimed] == ["stripe", None, None, None]
    assert {job.id for job in claimed[1:]} == {job.id for job in free[:3]}
    assert store.look_again_in(EVERYTHING) is None


def test_a_job_that_was_given_back_frees_its_place(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe", max_running=1)
    jobs(using, 2)
    (running,) = store.claim_jobs(ONE, 5, EVERYTHING)
    assert store.finish_jobs([GivenBack(job_id=running.id, claim=running.claim, delay_seconds=60)]) == [True]
    assert store.release_after([running]) == ["default"]
    assert len(store.claim_jobs(OTHER, 5, EVERYTHING)) == 1


def test_a_give_back_whose_reply_was_lost_is_known_again_while_the_job_waits(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=1)
    jobs(using, 1)
    (running,) = store.claim_jobs(ONE, 5, EVERYTHING)
    given_back = GivenBack(job_id=running.id, claim=running.claim)
    assert store.finish_jobs([given_back]) == [True]
    holder, third = (make_job(using, concurrency_key="stripe", priority=priority) for priority in (5, 4))
    assert [job.id for job in store.claim_jobs(OTHER, 1, EVERYTHING)] == [holder.id]
    assert store.claim_jobs(OTHER, 1, EVERYTHING) == [], "the third steps back, and with it what is behind it"
    running.refresh_from_db()
    third.refresh_from_db()
    assert (running.status, running.attempt, third.status) == ("BLOCKED", 1, "BLOCKED")
    assert store.finish_jobs([given_back]) == [True]


def test_nothing_is_asked_where_there_is_no_limit(
    using: str, store: OrmJobStore[Any], django_assert_num_queries: Any
) -> None:
    jobs(using, 3)
    claimed = store.claim_jobs(ONE, 5, EVERYTHING)
    with django_assert_num_queries(0, using=using):
        assert store._flow.admit(None, claimed) is claimed
        assert not store.release_after(claimed)


@pytest.mark.parametrize("keys", [1, 30])
def test_many_keys_are_counted_each_by_itself(using: str, store: OrmJobStore[Any], keys: int) -> None:
    limited(using, "customer", max_running=2)
    for key in range(keys):
        jobs(using, 3, concurrency_key=f"customer:{key}")
    claimed = store.claim_jobs(ONE, 500, EVERYTHING)
    assert len(claimed) == 2 * keys
    assert counts(using) == {"RUNNING": 2 * keys, "BLOCKED": keys}
    end(store, claimed)
    assert len(store.claim_jobs(ONE, 500, EVERYTHING)) == keys


def test_more_than_one_head_of_ready_jobs_waits(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe", max_running=1)
    Job.objects.using(using).bulk_create(
        Job(product="default", job_type="a", concurrency_key="stripe", status=JobStatus.QUEUED)
        for _ in range(700)
    )
    free = make_job(using)
    assert [job.id for job in store.claim_jobs(ONE, 2, EVERYTHING)][1] == free.id
    assert counts(using) == {"RUNNING": 2, "BLOCKED": 699}


def test_who_is_overlooked_is_let_in_at_the_second_look(using: str, store: OrmJobStore[Any]) -> None:
    limited(using, "stripe", max_running=1)
    jobs(using, 3)
    (running,) = store.claim_jobs(ONE, 5, EVERYTHING)
    assert store.release_overlooked() == store.release_overlooked() == [], "it is full"
    store.finish_jobs([Completed(job_id=running.id, claim=running.claim)])  # And its process dies.
    assert store.release_overlooked() == [], "somebody may be about to see to it"
    assert store.release_overlooked() == ["default"]
    assert store.release_overlooked() == []


def test_a_lost_place_is_found_though_others_come_first_at_each_look(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "stripe", max_running=3)
    jobs(using, 12)
    running = list(store.claim_jobs(ONE, 5, EVERYTHING))
    lost = [running.pop(), running.pop()]
    store.finish_jobs([Completed(job_id=job.id, claim=job.claim) for job in lost])  # And its process dies.
    for _ in range(2):
        assert store.release_overlooked() == [], (
            "somebody may be about to see to it, or nobody was overlooked"
        )
        assert end(store, running) == ["default"], "as many as have ended"
        running = list(store.claim_jobs(ONE, 5, EVERYTHING))
    assert len(running) == 3
    assert list(store.released_besides()) == ["default"] * 2 and list(store.released_besides()) == []


@pytest.mark.parametrize("at_once", [False, True])
def test_everybody_goes_on_at_once_behind_a_limit_that_has_gone(
    using: str, store: OrmJobStore[Any], at_once: bool
) -> None:
    waits = {"status": JobStatus.BLOCKED, "blocked_on": "k:default:stripe", "concurrency_key": "stripe"}
    new = [Job(product="default", job_type="a", **waits) for _ in range(2 * RELEASE_ROWS + 1)]
    Job.objects.using(using).bulk_create(new)
    released = store.release_overlooked(at_once=at_once)
    assert counts(using) == {"QUEUED": len(new)}
    assert (len(released), len(store.released_besides())) == ((len(new), 0) if at_once else (0, len(new)))


def test_who_goes_on_behind_a_limit_that_has_gone_wakes_workers_and_is_no_find(
    using: str, store: OrmJobStore[Any]
) -> None:
    make_job(using, concurrency_key="stripe", status=JobStatus.BLOCKED, blocked_on="k:default:stripe")
    sink, agenda, hints = RecordingSink(), Agenda(60), MemoryHints()
    assert release_overlooked_jobs(store, hints, sink, ReleasedJobs(agenda)) == 1
    assert (hints.nudges, agenda.has_unseen_hint(), sink.events) == (1, True, [])


MANY = 30
PREFIXES = ("customer", "order", "free")


def of_many_keys(using: str, prefix: str, **fields: Any) -> None:
    for number in range(MANY):
        make_job(using, concurrency_key=f"{prefix}:{number}", **fields)


def test_each_of_many_keys_is_held_to_its_own_limit(using: str, store: OrmJobStore[Any]) -> None:
    """They are counted together by the smallest limit of them, which says nothing yet of the others."""
    limited(using, "customer", max_running=1)
    limited(using, "order", max_running=2)
    for prefix in ("customer", "customer", "order", "order", "free", "free"):
        of_many_keys(using, prefix)
    claimed = store.claim_jobs(ONE, 6 * MANY, EVERYTHING)
    running = {prefix: sum(job.concurrency_key.startswith(prefix) for job in claimed) for prefix in PREFIXES}
    assert running == {"customer": MANY, "order": 2 * MANY, "free": 2 * MANY}
    assert counts(using, status="BLOCKED") == {"BLOCKED": MANY}


@pytest.mark.parametrize(
    ("kind", "name", "fields", "claimed"),
    [
        ("type", "shop.mail", {"job_type": "shop.pay"}, MANY),
        ("type", "shop.pay", {"job_type": "shop.pay"}, 2),
        ("product", "ours", {"product": "ours"}, 2),
    ],
)
def test_jobs_of_many_keys_count_at_what_else_is_limited(
    using: str, store: OrmJobStore[Any], kind: str, name: str, fields: Any, claimed: int
) -> None:
    limited(using, name, kind)
    of_many_keys(using, "customer", **fields)
    assert len(store.claim_jobs(ONE, MANY, EVERYTHING)) == claimed
    limited(using, "customer", max_running=1)
    of_many_keys(using, "customer", **fields)
    again = store.claim_jobs(OTHER, MANY, EVERYTHING)
    assert not again, "all keys have one that runs, or the other limit is full"


def test_many_keys_of_a_shared_limit_are_counted_over_all_products(
    using: str, store: OrmJobStore[Any]
) -> None:
    limited(using, "customer", max_running=1, is_shared=True)
    of_many_keys(using, "customer", product="ours")
    of_many_keys(using, "customer", product="theirs")
    assert len(store.claim_jobs(ONE, 2 * MANY, EVERYTHING)) == MANY


def test_many_keys_go_on_when_their_limit_has_gone(using: str, store: OrmJobStore[Any]) -> None:
    limit = limited(using, "customer", max_running=1)
    of_many_keys(using, "customer")
    assert len(store.claim_jobs(ONE, MANY, EVERYTHING)) == MANY
    of_many_keys(using, "customer")
    limit.delete()
    assert len(store.claim_jobs(OTHER, MANY, EVERYTHING)) == MANY
