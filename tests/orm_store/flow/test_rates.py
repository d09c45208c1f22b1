"""Tokens of rates on rows: how many there are, who is parked without one, and when those are looked at."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connections, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.jobs.interface.token_bucket import LET_SECONDS
from pleme_redis_django.models import FlowGate, FlowLimit, Job, JobStatus
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.flow import rates
from pleme_redis_django.orm_store.flow.declared import DeclaredLimits
from pleme_redis_django.orm_store.flow.gates import TokenGate
from pleme_redis_django.orm_store.flow.known_limits import KnownLimits
from pleme_redis_django.orm_store.flow.rates import NeedsTokens
from pleme_redis_django.orm_store.flow.tokens import HELD_SECONDS, LetThrough, TakenTokens
from pleme_redis_django.orm_store.job_table import JobTable
from tests.database_sessions import TABLE, another_session
from tests.rows import BACKENDS, ago, make_job
from tests.waiting import wait_until

STRIPE = "k:default:stripe"
AN_HOUR = 3600.0

pytestmark = [pytest.mark.django_db(databases=BACKENDS), pytest.mark.parametrize("using", BACKENDS)]


def rate(using: str, gate: str = STRIPE, **fields: Any) -> TokenGate:
    """Store a limit of one start an hour, burst 3, unless the fields say otherwise; return its gate."""
    values = {"rate": 1, "per_seconds": AN_HOUR, "burst": 3, **fields}
    named = {"job_model": "pleme_redis_django.job", "kind": "key", "name": gate.rpartition(":")[2]}
    limit = FlowLimit.objects.using(using).create(source="code", **(named | values))
    return TokenGate(gate, limit.pk)


def take(using: str, wanted: dict[TokenGate, int]) -> dict[TokenGate, int]:
    return {gate: taken.tokens for gate, taken in taken_by(using, wanted).items()}


def taken_by(using: str, wanted: dict[TokenGate, int]) -> dict[TokenGate, TakenTokens]:
    table = JobTable(Job, using)
    return dict(rates.take(dialect_of(table), table, wanted))


def give_back(using: str, left: dict[TokenGate, TakenTokens]) -> None:
    table = JobTable(Job, using)
    rates.give_back(dialect_of(table), table, left)


def let(using: str) -> LetThrough:
    table = JobTable(Job, using)
    return rates.let_through(dialect_of(table), table)


def row_of(using: str, gate: TokenGate) -> FlowGate:
    return FlowGate.objects.using(using).get(gate=gate.gate, limit_id=gate.limit_id)


def tokens_back(using: str, gate: TokenGate, count: float, every: float = AN_HOUR) -> None:
    """Let the time pass in which so many tokens come back, and the gate be due."""
    row = row_of(using, gate)
    passed = timedelta(seconds=count * every)
    FlowGate.objects.using(using).filter(pk=row.pk).update(
        full_again_at=row.full_again_at - passed,
        let_at=row.let_at and row.let_at - passed,
        release_at=row.release_at and Now(),
    )


def claimed(using: str, count: int, worker: str, **fields: Any) -> list[Job]:
    values = {"status": JobStatus.RUNNING, "worker_id": worker, "attempt": 1, "claimed_at": Now()}
    return [make_job(using, **(values | fields)) for _ in range(count)]


def start(using: str, worker: str, jobs: list[Job], *gates: TokenGate) -> tuple[list[Any], list[Any]]:
    table = JobTable(Job, using)
    needs = [NeedsTokens(job, gates, job.cost) for job in jobs]
    started, parked = rates.start_with_tokens(dialect_of(table), table, worker, needs)
    return [job.pk for job in started], [job.pk for job in parked]


def waiting_at(using: str, gate: TokenGate) -> list[Any]:
    rows = Job.objects.using(using).filter(status=JobStatus.BLOCKED, blocked_on=gate.blocked_on)
    return list(rows.order_by("id").values_list("pk", flat=True))


def test_burst_is_there_at_once_and_then_nothing(using: str) -> None:
    gate = rate(using)
    assert take(using, {gate: 2}) == {gate: 2}
    assert take(using, {gate: 2}) == {gate: 1}
    assert take(using, {gate: 2}) == {gate: 0}


def test_a_claim_whose_tokens_are_all_there_takes_them_in_one_statement(using: str) -> None:
    gates = [rate(using, f"k:default:{name}") for name in ("a", 'b"\\', "{c,d}")]
    worker = str(uuid4())
    jobs = claimed(using, 3, worker)
    assert start(using, worker, jobs, *gates) == ([job.pk for job in jobs], []), "whatever the key looks like"
    assert take(using, dict.fromkeys(gates, 9)) == dict.fromkeys(gates, 0)
    for gate in gates:
        FlowGate.objects.using(using).filter(gate=gate.gate).update(full_again_at=Now())
    with CaptureQueriesContext(connections[using]) as queries:
        assert start(using, worker, jobs, *gates) == ([job.pk for job in jobs], [])
    assert using == "sqlite" or len(queries) == 1


def test_tokens_come_back_with_the_time_and_no_more_than_the_burst(using: str) -> None:
    gate = rate(using)
    take(using, {gate: 3})
    tokens_back(using, gate, 1.5)
    assert take(using, {gate: 9}) == {gate: 1}
    tokens_back(using, gate, 0.6)
    assert take(using, {gate: 9}) == {gate: 1}
    tokens_back(using, gate, 100)
    assert take(using, {gate: 9}) == {gate: 3}


def test_each_gate_has_tokens_of_its_own(using: str) -> None:
    one, other = rate(using), rate(using, "q:default:mail", kind="queue", burst=1)
    assert take(using, {other: 2, one: 2}) == {one: 2, other: 1}
    same_limit = TokenGate("k:globex:stripe", one.limit_id)
    assert take(using, {same_limit: 5}) == {same_limit: 3}


def test_rate_of_zero_is_a_pause_and_its_bucket_is_kept(using: str) -> None:
    gate = rate(using)
    take(using, {gate: 2})
    FlowLimit.objects.using(using).update(rate=0)
    tokens_back(using, gate, 0.1)
    assert take(using, {gate: 1}) == {gate: 0}
    FlowLimit.objects.using(using).update(rate=1)
    assert take(using, {gate: 9}) == {gate: 1}


def test_limit_without_a_rate_or_without_a_row_gives_all(using: str) -> None:
    unlimited = rate(using, rate=None)
    gone = TokenGate(STRIPE, unlimited.limit_id + 1000)
    assert take(using, {unlimited: 500, gone: 500}) == {unlimited: 500, gone: 500}


def test_another_rate_counts_at_the_next_token(using: str) -> None:
    """Two tokens are used: of a slow rate they are back in two hours, of a fast one in 20 ms."""
    gate = rate(using)
    take(using, {gate: 2})
    FlowLimit.objects.using(using).update(rate=100, per_seconds=1.0)
    assert take(using, {gate: 9}) == {gate: 1}
    full_again = row_of(using, gate).full_again_at
    assert FlowGate.objects.using(using).filter(full_again_at__lte=Now() + timedelta(seconds=1)).exists(), (
        full_again
    )


def test_jobs_start_in_claim_order_and_the_others_wait(using: str) -> None:
    gate, worker = rate(using), str(uuid4())
    jobs = claimed(using, 5, worker)
    started, parked = start(using, worker, jobs, gate)
    assert started == [job.pk for job in jobs[:3]]
    assert parked == waiting_at(using, gate) == [job.pk for job in jobs[3:]]
    row = Job.objects.using(using).get(pk=parked[0])
    assert (row.attempt, row.claimed_at, row.retry_count) == (1, None, 0)
    assert row_of(using, gate).release_at is not None
    release_in = rates.release_in(JobTable(Job, using))
    assert release_in == pytest.approx(AN_HOUR, abs=60)


def test_heavy_job_is_not_overtaken_by_light_ones(using: str) -> None:
    gate, worker = rate(using), str(uuid4())
    light, heavy = claimed(using, 2, worker), claimed(using, 1, worker, cost=2)
    behind = claimed(using, 1, worker)
    started, parked = start(using, worker, [*light, *heavy, *behind], gate)
    assert started == [job.pk for job in light]
    assert parked == [heavy[0].pk, behind[0].pk]
    assert take(using, {gate: 5}) == {gate: 1}, "what the heavy one could not use is given back"


def test_job_of_two_rates_takes_a_token_of_each_or_of_none(using: str) -> None:
    key, queue, worker = rate(using), rate(using, "q:default:mail", kind="queue", burst=1), str(uuid4())
    jobs = claimed(using, 3, worker)
    started, parked = start(using, worker, jobs, key, queue)
    assert started == [jobs[0].pk]
    assert parked == waiting_at(using, queue)
    assert take(using, {key: 9}) == {key: 2}


def test_claim_that_was_lost_meanwhile_is_not_parked(using: str) -> None:
    gate, worker = rate(using, burst=1), str(uuid4())
    jobs = claimed(using, 2, worker)
    Job.objects.using(using).filter(pk=jobs[1].pk).update(attempt=2)
    start(using, worker, jobs, gate)
    assert waiting_at(using, gate) == []
    assert Job.objects.using(using).get(pk=jobs[1].pk).status == JobStatus.RUNNING


def test_job_that_was_asked_to_end_is_cancelled_and_does_not_wait(using: str) -> None:
    gate, worker = rate(using, burst=1), str(uuid4())
    jobs = claimed(using, 2, worker, cancel_requested_at=Now())
    start(using, worker, jobs, gate)
    row = Job.objects.using(using).get(pk=jobs[1].pk)
    assert (row.status, row.blocked_on) == (JobStatus.CANCELLED, None)


@pytest.mark.parametrize(
    ("slot", "is_kept"),
    [("p60:7", True), ("r:7", False), ("w:7", False)],
    ids=["period", "running", "waiting"],
)
def test_the_period_of_a_job_that_is_cancelled_when_it_has_to_wait_goes_on(
    using: str, slot: str, is_kept: bool
) -> None:
    gate, worker = rate(using, burst=1), str(uuid4())
    assert take(using, {gate: 1}) == {gate: 1}
    jobs = claimed(using, 1, worker, cancel_requested_at=Now(), unique_slot=slot)
    start(using, worker, jobs, gate)
    row = Job.objects.using(using).get()
    assert (row.status, row.unique_slot) == (JobStatus.CANCELLED, slot if is_kept else None)


def test_waiting_jobs_are_let_through_as_tokens_come_back(using: str) -> None:
    gate, worker = rate(using, burst=2), str(uuid4())
    first, second, third = (start(using, worker, claimed(using, 5, worker), gate))[1]
    assert let(using) == LetThrough(0, []), "nobody looks before it is time"
    tokens_back(using, gate, 1)
    assert let(using) == LetThrough(1, ["default"])
    assert waiting_at(using, gate) == [second, third]
    assert Job.objects.using(using).get(pk=first).status == JobStatus.QUEUED


def test_who_was_let_through_and_has_not_started_counts(using: str) -> None:
    """Its token is there still: another look must not let a second job through for it."""
    gate, worker = rate(using, burst=2), str(uuid4())
    start(using, worker, claimed(using, 5, worker), gate)
    tokens_back(using, gate, 1)
    let(using)
    FlowGate.objects.using(using).update(release_at=Now())
    assert let(using) == LetThrough(1, [])
    assert take(using, {gate: 1}) == {gate: 1}
    tokens_back(using, gate, 1)
    assert let(using) == LetThrough(1, ["default"])


def test_who_does_not_come_is_forgotten_after_a_while(using: str) -> None:
    gate, worker = rate(using, burst=2), str(uuid4())
    start(using, worker, claimed(using, 5, worker), gate)
    tokens_back(using, gate, 1)
    let(using)
    FlowGate.objects.using(using).update(release_at=Now(), let_at=ago(LET_SECONDS + 1))
    assert let(using) == LetThrough(1, ["default"])


def test_gate_where_nobody_waits_is_not_looked_at_again(using: str) -> None:
    gate, worker = rate(using, burst=2), str(uuid4())
    start(using, worker, claimed(using, 3, worker), gate)
    tokens_back(using, gate, 1)
    assert let(using) == LetThrough(1, ["default"])
    assert row_of(using, gate).release_at is None
    assert rates.release_in(JobTable(Job, using)) is None


def test_heavy_job_waits_until_its_tokens_have_come_together(using: str) -> None:
    gate, worker = rate(using, burst=3), str(uuid4())
    start(using, worker, claimed(using, 3, worker), gate)
    start(using, worker, claimed(using, 1, worker, cost=3), gate)
    tokens_back(using, gate, 1)
    assert let(using) == LetThrough(1, [])
    tokens_back(using, gate, 2)
    assert let(using) == LetThrough(1, ["default"])


def test_first_in_claim_order_are_let_through(using: str) -> None:
    gate, worker = rate(using, burst=2), str(uuid4())
    start(using, worker, claimed(using, 4, worker), gate)
    (urgent,) = start(using, worker, claimed(using, 1, worker, priority=9), gate)[1]
    tokens_back(using, gate, 1)
    let(using)
    assert Job.objects.using(using).get(pk=urgent).status == JobStatus.QUEUED


def test_raised_limit_is_looked_at_at_once(using: str) -> None:
    gate, worker = rate(using, burst=2), str(uuid4())
    start(using, worker, claimed(using, 7, worker), gate)
    FlowLimit.objects.using(using).update(burst=4)
    assert rates.look_at_gates(JobTable(Job, using), [gate.limit_id]) == 1
    assert let(using) == LetThrough(1, ["default", "default"])


def test_limit_without_a_rate_any_more_lets_everybody_through(using: str) -> None:
    gate, worker = rate(using, burst=1), str(uuid4())
    start(using, worker, claimed(using, 7, worker), gate)
    FlowLimit.objects.using(using).update(rate=None)
    rates.look_at_gates(JobTable(Job, using), [gate.limit_id])
    assert len(let(using).queue_names) == 6


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
@pytest.mark.parametrize("others", [0, 2], ids=["alone", "before others"])
def test_one_whose_row_somebody_holds_is_looked_at_again_soon(using: str, others: int) -> None:
    """Its token counts for nobody, and the gate is not forgotten."""
    if using != "default":
        pytest.skip("SQLite has one lock")
    gate, worker = rate(using, burst=2), str(uuid4())
    held, *behind = start(using, worker, claimed(using, 3 + others, worker), gate)[1]
    tokens_back(using, gate, 1)
    with another_session(f"SELECT FROM {TABLE} WHERE id = '{held}' FOR UPDATE"):
        assert let(using) == LetThrough(1, [])
    assert row_of(using, gate).let_through == 0
    release_in = rates.release_in(JobTable(Job, using))
    assert release_in is not None
    assert release_in <= HELD_SECONDS
    FlowGate.objects.using(using).update(release_at=Now())
    assert let(using) == LetThrough(1, ["default"])
    assert waiting_at(using, gate) == behind


@pytest.mark.parametrize("how", ["unmarked", "too late", "row deleted", "limit deleted"])
def test_who_was_forgotten_is_found(using: str, how: str) -> None:
    gate, worker, table = rate(using, burst=1), str(uuid4()), JobTable(Job, using)
    start(using, worker, claimed(using, 3, worker), gate)
    assert rates.wake_forgotten(dialect_of(table), table).gates == 0
    rows = FlowGate.objects.using(using)
    match how:
        case "unmarked":
            rows.update(release_at=None)
        case "too late":
            rows.update(release_at=Now() + timedelta(days=2))
        case "row deleted":
            rows.all().delete()
        case _:
            FlowLimit.objects.using(using).all().delete()
    assert rates.wake_forgotten(dialect_of(table), table).gates == 1
    if how in ("unmarked", "too late"):
        assert let(using).gates == 1
    else:
        assert Job.objects.using(using).filter(status=JobStatus.QUEUED).count() == 2


def test_pause_is_not_taken_for_forgotten(using: str) -> None:
    gate, worker, table = rate(using, rate=0), str(uuid4()), JobTable(Job, using)
    start(using, worker, claimed(using, 3, worker), gate)
    assert len(waiting_at(using, gate)) == 3
    assert row_of(using, gate).release_at is None
    assert rates.wake_forgotten(dialect_of(table), table).gates == 0


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
def test_many_who_take_at_once_get_the_burst_together(using: str) -> None:
    gate = rate(using, burst=10)
    begin, granted = threading.Barrier(6), []

    def ask() -> None:
        begin.wait()
        for _ in range(5):
            granted.append(take(using, {gate: 1})[gate])
        connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 10


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
@pytest.mark.parametrize("held", [0, 1])
def test_tokens_are_given_back_though_somebody_takes_their_rows_in_another_order(
    using: str, held: int
) -> None:
    """In one of the two cases the database ends it as a deadlock, and it is done again."""
    if using != "default":
        pytest.skip("SQLite has one lock")
    gates = [rate(using, f"k:default:{name}") for name in ("a", "b")]
    taken = taken_by(using, dict.fromkeys(gates, 3))
    is_held = threading.Event()

    def take_the_rows() -> None:
        # On a busy machine PostgreSQL may end this one instead.
        with contextlib.suppress(OperationalError), transaction.atomic(using=using):
            for gate in (gates[held], gates[1 - held]):
                FlowGate.objects.using(using).select_for_update().get(gate=gate.gate)
                is_held.set()
                wait_until(lambda: somebody_waits_for_a_row(using), "the other one waits")
        connections.close_all()

    other = threading.Thread(target=take_the_rows)
    other.start()
    is_held.wait()
    give_back(using, {gate: of_gate._replace(tokens=2) for gate, of_gate in taken.items()})
    other.join()
    assert take(using, dict.fromkeys(gates, 3)) == dict.fromkeys(gates, 2)


def test_what_has_come_back_by_itself_is_not_given_back_as_well(using: str) -> None:
    """Somebody stood still between the two: the gate was full meanwhile, and others have taken all that it has."""
    gate = rate(using, rate=30, per_seconds=1.0)
    late = taken_by(using, {gate: 3})
    wait_until(
        lambda: FlowGate.objects.using(using).filter(full_again_at__lte=Now()).exists(), "all are back"
    )
    FlowLimit.objects.using(using).update(rate=1, per_seconds=AN_HOUR)
    FlowGate.objects.using(using).update(spacing_seconds=AN_HOUR)
    assert take(using, {gate: 3}) == {gate: 3}
    give_back(using, late)
    assert take(using, {gate: 3}) == {gate: 0}


def test_what_has_not_come_back_is_given_back(using: str) -> None:
    gate = rate(using)
    taken = taken_by(using, {gate: 3})
    give_back(using, {gate: taken[gate]._replace(tokens=2)})
    assert take(using, {gate: 3}) == {gate: 2}


def somebody_waits_for_a_row(using: str) -> bool:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def test_rows_of_keys_that_came_long_ago_are_deleted(using: str) -> None:
    table = JobTable(Job, using)
    old, busy, waited_at = (rate(using, f"k:default:{name}") for name in ("old", "busy", "waited_at"))
    take(using, {old: 1, busy: 1, waited_at: 1})
    rows = FlowGate.objects.using(using)
    rows.exclude(gate=busy.gate).update(full_again_at=ago(2 * AN_HOUR))
    rows.filter(gate=waited_at.gate).update(release_at=Now())
    assert rates.prune_gates(table) == 1
    assert set(rows.values_list("gate", flat=True)) == {busy.gate, waited_at.gate}


def test_who_waits_for_the_end_of_a_long_pause_goes_on_at_its_end(using: str) -> None:
    """All tokens are back by then, and nobody looks at the gate meanwhile: its row was deleted."""
    gate, worker, table = rate(using, rate=0, burst=2), str(uuid4()), JobTable(Job, using)
    start(using, worker, claimed(using, 3, worker), gate)
    FlowGate.objects.using(using).update(full_again_at=ago(2 * AN_HOUR))
    rates.prune_gates(table)
    FlowLimit.objects.using(using).update(rate=1)
    assert rates.look_at_gates(table, [gate.limit_id]) == 1
    assert let(using) == LetThrough(1, ["default", "default"])


def test_limit_is_not_pruned_while_tokens_are_out(using: str) -> None:
    """Made again, it would have all of them again."""
    gate, table = rate(using), JobTable(Job, using)
    FlowLimit.objects.using(using).update(last_used_at=ago(48 * AN_HOUR))
    take(using, {gate: 1})
    KnownLimits(table, DeclaredLimits(Job)).prune()
    assert FlowLimit.objects.using(using).exists()
