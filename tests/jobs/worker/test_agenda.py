"""The agenda: what is written by whoever learns something, as the claimer reads it."""

from __future__ import annotations

from pleme_redis_django.jobs.interface.hints import Hinted
from pleme_redis_django.jobs.worker.agenda import Agenda, Look

NOTHING = Look(hinted=False, scan=False, own_due=False)
NEVER_SECONDS = 1_000.0


def looked_at() -> Agenda:
    """Return an agenda whose first scan is done, and on which nothing stands."""
    agenda = Agenda(NEVER_SECONDS)
    assert agenda.next_look() == Look(hinted=False, scan=True, own_due=False)
    return agenda


def test_what_is_taken_is_taken_once() -> None:
    agenda = looked_at()
    agenda.hint()
    agenda.scan_soon()
    agenda.due_in(-1)
    assert agenda.woken.is_set()
    assert agenda.next_look() == Look(hinted=True, scan=True, own_due=True)
    assert agenda.next_look() == NOTHING


def test_the_earliest_of_its_own_due_times_counts() -> None:
    agenda = looked_at()
    agenda.due_in(30)
    agenda.due_in(20)
    agenda.due_in(40)
    assert 10 < agenda.seconds_until_next(with_due=False) <= 20


def test_due_jobs_of_the_store_count_only_where_there_is_capacity() -> None:
    agenda = looked_at()
    agenda.note_next_due(10)
    assert 0 < agenda.seconds_until_next(with_due=True) <= 10
    assert agenda.seconds_until_next(with_due=False) > 900
    assert not agenda.is_due()
    agenda.note_next_due(-1)
    assert agenda.is_due()
    agenda.leave_due_to_others()
    assert not agenda.is_due()
    assert 0 < agenda.seconds_until_next(with_due=True) <= 2


def test_a_look_within_some_seconds_is_never_later_than_it_was_to_be() -> None:
    agenda = looked_at()
    agenda.look_within(5)
    agenda.look_within(50)
    assert agenda.seconds_until_next(with_due=True) <= 5
    agenda.scan_in(50)
    assert 40 < agenda.seconds_until_next(with_due=True) <= 50


def test_a_rescue_that_is_under_way_may_bring_more() -> None:
    agenda = looked_at()
    assert agenda.nothing_to_come()
    agenda.rescue_begins()
    agenda.rescue_begins()
    agenda.rescue_settled(1)
    assert not agenda.nothing_to_come()
    agenda.rescue_settled(1)
    assert agenda.nothing_to_come()
    assert agenda.next_look().scan, "What was rescued may be ready."


def test_lost_claims_are_told_once_and_looked_for() -> None:
    agenda = looked_at()
    agenda.claims_lost()
    assert agenda.next_look().scan
    assert (agenda.take_claims_lost(), agenda.take_claims_lost()) == (True, False)


def test_what_is_heard_of_is_looked_at_at_once_and_is_no_hint() -> None:
    agenda = looked_at()
    agenda.hear_of(frozenset())
    assert not agenda.woken.is_set()
    agenda.hear_of(frozenset({Hinted("new", "t")}))
    assert agenda.woken.is_set()
    assert agenda.next_look() == Look(
        hinted=False, scan=False, own_due=False, named=frozenset({Hinted("new", "t")})
    )


def test_what_is_hinted_without_a_type_may_be_of_any_whatever_others_name() -> None:
    agenda = looked_at()
    agenda.hint()
    agenda.hear_of(frozenset({Hinted("new", "t")}))
    assert agenda.next_look().named == {Hinted("new", "t"), Hinted()}
    agenda.hint(frozenset({Hinted("new", "t")}))
    assert agenda.next_look().named == {Hinted("new", "t")}
