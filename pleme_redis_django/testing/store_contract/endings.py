"""Endings: what is stored of each, what comes next, alone and in batches."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

import pytest

from pleme_redis_django.exceptions import BadEnding
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.job import SUSPECT_AFTER_UNSEEN_DEATHS, JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.testing.store_contract.subject import (
    FAILURE,
    LATER_SECONDS,
    MakeEnding,
    NewJob,
    StoreSubject,
    cancelled,
    claim_of,
    completed,
    failed,
    given_back,
    ids_of,
    new_worker,
    retried,
    snoozed,
)

RESULTS: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "",
    "text \N{WAVING HAND SIGN}",
    [],
    {},
    [1, "two", [3.5, None]],
    {"message_id": "<1@example.com>", "sent": {"ok": True}},
]
BIG_RESULT = {"rows": [{"index": index, "text": "x" * 90} for index in range(5_000)]}


class EndingTests(StoreSubject):
    """``mark_job_running``, ``mark_job_completed``, ``mark_job_failed``, ``schedule_retry``, ``finish_jobs``."""

    def test_mark_job_running_is_accepted_from_the_holder_and_again(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.mark_job_running(job_id, claim=claim) is True
        assert self.store.mark_job_running(job_id, claim=claim) is True, (
            "The second call has to be accepted too."
        )
        self.assert_status(job_id, JobStatus.RUNNING, "its handler has started")

    @pytest.mark.parametrize("results", RESULTS, ids=repr)
    def test_a_completed_job_keeps_its_result(self, results: Any) -> None:
        job_id, claim = self.claimed()
        assert self.store.mark_job_completed(job_id, results, claim=claim) is True
        self.assert_status(job_id, JobStatus.COMPLETED, "mark_job_completed() returned True")
        found = self.stored(job_id, "results")
        assert found == results, f"The result came back as {found!r}."
        assert type(found) is type(results)

    def test_a_big_result_is_kept_whole(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([completed(job_id, claim, BIG_RESULT)]) == [True]
        assert self.stored(job_id, "results") == BIG_RESULT

    def test_a_failed_job_keeps_its_message(self) -> None:
        job_id, claim = self.claimed()
        details = {"error_code": "smtp_refused", "exception_class": "shop.Refused"}
        assert self.store.mark_job_failed(job_id, "Nö: \N{CROSS MARK}\nrefused", details, claim=claim) is True
        self.assert_status(job_id, JobStatus.FAILED, "mark_job_failed() returned True")
        assert self.stored(job_id, "error_message") == "Nö: \N{CROSS MARK}\nrefused"

    @pytest.mark.parametrize("ended", ["completed", "failed"])
    def test_an_ended_job_is_not_claimed_again(self, ended: str) -> None:
        job_id, claim = self.claimed()
        ending = completed(job_id, claim) if ended == "completed" else failed(job_id, claim)
        assert self.store.finish_jobs([ending]) == [True]
        self.store.promote_due_jobs(100)
        assert self.store.claim_next_job(new_worker()) is None
        assert self.store.count_claimable_jobs() == 0

    def test_a_retry_waits_for_its_delay(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.schedule_retry(job_id, 1, LATER_SECONDS, "failed", {}, claim=claim) is True
        assert self.store.promote_due_jobs(100) == 0
        assert self.store.claim_next_job(new_worker()) is None, (
            "The retry was claimed before its delay was over."
        )
        assert self.stored(job_id, "retry_count") == 1
        self.assert_status(job_id, JobStatus.PENDING, "it waits for its retry")

    def test_a_retry_is_claimed_once_its_delay_is_over(self) -> None:
        self.needs("can_pass_time")
        job_id, claim = self.claimed()
        assert self.store.schedule_retry(job_id, 1, 60, "failed", {}, claim=claim)
        self.pass_time(59)
        self.store.promote_due_jobs(100)
        assert self.store.claim_next_job(new_worker()) is None, (
            "The retry was claimed before its delay was over."
        )
        self.pass_time(2)
        self.store.promote_due_jobs(100)
        assert self.claim(job_id).attempt == 2

    def test_a_retry_without_delay_is_ready_at_once(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.schedule_retry(job_id, 1, 0, "failed", {}, claim=claim)
        self.store.promote_due_jobs(100)
        job = self.store.claim_next_job(new_worker())
        assert job is not None, "schedule_retry(delay_seconds=0): the job has to be claimable at once."
        assert (job.id, job.retry_count, claim_of(job).attempt) == (job_id, 1, 2)

    def test_retries_run_out(self) -> None:
        job_id, claim = self.claimed(max_retries=1)
        assert self.store.load_job(job_id).can_retry() is True
        assert self.store.schedule_retry(job_id, 1, LATER_SECONDS, "failed", {}, claim=claim)
        assert self.store.load_job(job_id).can_retry() is False
        assert self.store.load_job(job_id).calculate_backoff_delay() == 120

    def test_a_snoozed_job_waits_and_uses_no_retry(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([snoozed(job_id, claim)]) == [True]
        assert self.store.promote_due_jobs(100) == 0
        assert self.store.claim_next_job(new_worker()) is None, "The job was claimed while it was put off."
        assert self.stored(job_id, "retry_count") == 0, "Putting a job off must not use up a retry."
        self.assert_status(job_id, JobStatus.PENDING, "its handler has put it off")

    def test_a_snooze_is_counted_once_however_often_it_is_written(self) -> None:
        self.needs("counts_snoozes")
        job_id, claim = self.claimed()
        assert self.store.schedule_retry(job_id, 1, 0, FAILURE.message, FAILURE.details(), claim=claim)
        self.store.promote_due_jobs(100)
        ending = dataclasses.replace(snoozed(job_id, self.claim(job_id)), retry_count=1)
        assert self.store.finish_jobs([ending]) == [True]
        assert self.store.finish_jobs([ending]) == [True], "A repeated ending has to be accepted."
        assert self.stored(job_id, "snoozes") == 1
        assert self.stored(job_id, "error_message") == FAILURE.message, "The last failure stays."

    def test_a_snoozed_job_is_claimed_once_its_time_has_come(self) -> None:
        self.needs("can_pass_time")
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([snoozed(job_id, claim, delay_seconds=60)]) == [True]
        self.pass_time(61)
        self.store.promote_due_jobs(100)
        assert self.claim(job_id).attempt == 2

    def test_a_job_that_waits_past_its_deadline_ends_cancelled(self) -> None:
        self.needs("knows_deadlines")
        self.needs("can_pass_time")
        job_id, later = (self.add_job(NewJob(expires_in_seconds=seconds)) for seconds in (60, 600))
        assert self.store.end_expired_jobs(10) == 0
        self.pass_time(61)
        assert self.store.end_expired_jobs(10) == 1
        self.assert_status(job_id, JobStatus.CANCELLED, "its deadline is over")
        assert self.claim_everything() == [later]

    def test_a_due_job_whose_deadline_is_over_is_not_made_ready(self) -> None:
        self.needs("knows_deadlines")
        self.needs("can_pass_time")
        job_id = self.add_job(NewJob(expires_in_seconds=60))
        other = self.add_job(NewJob(expires_in_seconds=600))
        claims = {job.id: claim_of(job) for job in self.store.claim_jobs(new_worker(), 10, JobSelection())}
        endings = [retried(one, claim, delay_seconds=50) for one, claim in claims.items()]
        assert self.store.finish_jobs(endings) == [True, True]
        self.pass_time(61)
        assert self.store.promote_due_jobs(100) == 1
        self.assert_status(job_id, JobStatus.CANCELLED, "its deadline was over when it became due")
        assert self.claim_everything() == [other]

    @pytest.mark.parametrize("delay_seconds", [0, 5])
    def test_a_job_that_is_given_back_past_its_deadline_ends_cancelled(self, delay_seconds: float) -> None:
        self.needs("knows_deadlines")
        self.needs("can_pass_time")
        job_id, other = (self.add_job(NewJob(expires_in_seconds=seconds)) for seconds in (60, 600))
        claims = {job.id: claim_of(job) for job in self.store.claim_jobs(new_worker(), 10, JobSelection())}
        self.pass_time(61)
        endings = [given_back(one, claim, delay_seconds=delay_seconds) for one, claim in claims.items()]
        assert self.store.finish_jobs(endings) == [True, True]
        self.assert_status(job_id, JobStatus.CANCELLED, "its deadline was over when it was given back")
        assert self.store.finish_jobs([endings[0]]) == [True], "A repeated give-back is recognised."
        self.pass_time(10)
        self.store.promote_due_jobs(100)
        assert self.claim_everything() == [other]

    def test_a_claimed_job_says_how_long_it_may_still_start(self) -> None:
        self.needs("knows_deadlines")
        self.needs("can_pass_time")
        self.add_job(NewJob(expires_in_seconds=600))
        self.add_job(NewJob())
        self.pass_time(60)
        jobs = self.store.claim_jobs(new_worker(), 10, JobSelection())
        left = {round(job.expires_in_seconds or -1, -1) for job in jobs}
        assert left == {540, 0}, f"expires_in_seconds of the claimed jobs: {left}."

    def test_a_given_back_job_is_ready_at_once_and_nothing_is_charged(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, claim)]) == [True]
        self.store.promote_due_jobs(100)
        job = self.store.claim_next_job(new_worker())
        assert job is not None, "A job that was given back has to be claimable at once."
        assert (job.id, job.retry_count) == (job_id, 0), "Giving a job back must not use up a retry."

    def test_a_given_back_job_keeps_the_retries_it_had(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.schedule_retry(job_id, 2, 0, "failed", {}, claim=claim)
        self.store.promote_due_jobs(100)
        assert self.store.finish_jobs([given_back(job_id, self.claim(job_id))]) == [True]
        assert self.stored(job_id, "retry_count") == 2

    def test_a_suspect_is_claimed_only_by_who_asks_for_suspects(self) -> None:
        self.needs("knows_suspects")
        job_id = self.suspect()
        assert self.store.look_ahead(JobSelection()).suspects is True
        assert self.store.look_ahead(JobSelection()).ready is False
        assert list(self.store.claim_jobs(new_worker(), 10, JobSelection())) == []
        suspects = self.store.claim_jobs(new_worker(), 10, JobSelection(suspects=True))
        assert ids_of(suspects) == [job_id]
        assert self.store.look_ahead(JobSelection()).suspects is False

    def test_one_death_makes_no_suspect(self) -> None:
        self.needs("knows_suspects")
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, claim, crashed=True)]) == [True]
        assert self.store.look_ahead(JobSelection()).suspects is False
        assert list(self.store.claim_jobs(new_worker(), 10, JobSelection(suspects=True))) == []
        assert ids_of(self.store.claim_jobs(new_worker(), 10, JobSelection())) == [job_id]

    def test_what_is_given_back_after_a_death_waits_for_its_delay(self) -> None:
        self.needs("knows_suspects")
        self.needs("can_pass_time")
        job_id, claim = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, claim, crashed=True, delay_seconds=10)]) == [True]
        self.store.promote_due_jobs(100)
        assert list(self.store.claim_jobs(new_worker(), 10, JobSelection())) == []
        self.pass_time(11)
        self.store.promote_due_jobs(100)
        assert ids_of(self.store.claim_jobs(new_worker(), 10, JobSelection())) == [job_id]

    def test_a_suspect_that_survives_itself_is_acquitted(self) -> None:
        """It ran alone and its process lives: when it runs again, it runs beside others."""
        self.needs("knows_suspects")
        job_id = self.suspect()
        (job,) = self.store.claim_jobs(new_worker(), 1, JobSelection(suspects=True))
        assert self.store.finish_jobs([retried(job_id, claim_of(job), delay_seconds=0)]) == [True]
        self.store.promote_due_jobs(100)
        assert self.store.look_ahead(JobSelection()).suspects is False
        assert ids_of(self.store.claim_jobs(new_worker(), 10, JobSelection())) == [job_id]

    def test_a_suspect_that_is_given_back_stays_one(self) -> None:
        self.needs("knows_suspects")
        job_id = self.suspect()
        (job,) = self.store.claim_jobs(new_worker(), 1, JobSelection(suspects=True))
        assert self.store.finish_jobs([given_back(job_id, claim_of(job))]) == [True]
        self.store.promote_due_jobs(100)
        assert self.store.look_ahead(JobSelection()).suspects is True

    def test_only_many_unseen_deaths_in_a_row_make_a_suspect(self) -> None:
        """Nobody saw what ended them. Most likely it was their hosts, so a few such deaths prove nothing."""
        self.needs("knows_suspects")
        job_id = self._after_unseen_deaths(SUSPECT_AFTER_UNSEEN_DEATHS - 1)
        assert self.store.look_ahead(JobSelection()).suspects is False
        claim = self.claim(job_id)
        assert self.store.finish_jobs([given_back(job_id, claim, unseen_death=True)]) == [True]
        assert self.store.look_ahead(JobSelection()).ready is False
        assert ids_of(self.store.claim_jobs(new_worker(), 10, JobSelection(suspects=True))) == [job_id]
        assert self.stored(job_id, "unseen_deaths") == SUSPECT_AFTER_UNSEEN_DEATHS

    def test_what_is_given_back_plainly_is_no_unseen_death(self) -> None:
        self.needs("knows_suspects")
        job_id = self._after_unseen_deaths(SUSPECT_AFTER_UNSEEN_DEATHS - 1)
        claim = self.claim(job_id)
        assert self.store.finish_jobs([given_back(job_id, claim)]) == [True]
        assert self.store.look_ahead(JobSelection()).suspects is False
        assert self.stored(job_id, "unseen_deaths") == SUSPECT_AFTER_UNSEEN_DEATHS - 1

    def test_an_attempt_that_fails_by_itself_ends_the_row_of_unseen_deaths(self) -> None:
        self.needs("knows_suspects")
        job_id = self._after_unseen_deaths(SUSPECT_AFTER_UNSEEN_DEATHS - 1)
        assert self.store.finish_jobs([retried(job_id, self.claim(job_id), delay_seconds=0)]) == [True]
        self.store.promote_due_jobs(100)
        claim = self.claim(job_id)
        assert self.store.finish_jobs([given_back(job_id, claim, unseen_death=True)]) == [True]
        assert self.store.look_ahead(JobSelection()).suspects is False
        assert self.stored(job_id, "unseen_deaths") == 1

    def _after_unseen_deaths(self, count: int) -> UUID:
        job_id, claim = self.claimed()
        for number in range(1, count + 1):
            assert self.store.finish_jobs([given_back(job_id, claim, unseen_death=True)]) == [True]
            if number < count:
                claim = self.claim(job_id)
        return job_id

    def test_a_batch_may_hold_every_kind_of_ending(self) -> None:
        claims = [self.claimed() for _ in range(5)]
        kinds: list[MakeEnding] = [completed, failed, cancelled, retried, given_back]
        endings = [make(job_id, claim) for make, (job_id, claim) in zip(kinds, claims, strict=True)]
        assert list(self.store.finish_jobs(endings)) == [True] * 5
        cancelled_status = JobStatus.CANCELLED if self.finishes_in_batches else JobStatus.FAILED
        for index, status in enumerate((JobStatus.COMPLETED, JobStatus.FAILED, cancelled_status)):
            self.assert_status(claims[index][0], status, f"it ended as {type(endings[index]).__name__}")
        self.store.promote_due_jobs(100)
        assert self.claim_everything() == [claims[4][0]], "Only the job that was given back is ready."

    def test_a_batch_answers_for_each_ending_in_order(self) -> None:
        lost_id, lost = self.claimed()
        assert self.store.finish_jobs([given_back(lost_id, lost)]) == [True]
        self.claim(lost_id)
        held = [self.claimed() for _ in range(2)]
        endings = [completed(*held[0]), completed(lost_id, lost), failed(*held[1]), retried(lost_id, lost)]
        assert list(self.store.finish_jobs(endings)) == [True, False, True, False]
        self.assert_status(lost_id, JobStatus.RUNNING, "another worker holds it")

    def test_a_batch_may_hold_a_late_ending_beside_the_accepted_one(self) -> None:
        job_id, late = self.claimed()
        assert self.store.finish_jobs([given_back(job_id, late)]) == [True]
        claim = self.claim(job_id)
        endings = [completed(job_id, late, "late"), completed(job_id, claim, "right"), failed(job_id, late)]
        assert list(self.store.finish_jobs(endings)) == [False, True, False]
        assert self.stored(job_id, "results") == "right"

    def test_only_one_of_two_endings_of_an_attempt_is_accepted(self) -> None:
        job_id, claim = self.claimed()
        accepted = self.store.finish_jobs([completed(job_id, claim), given_back(job_id, claim)])
        assert sorted(accepted) == [False, True], (
            f"One attempt ended both as Completed and as GivenBack: {accepted}."
        )

    def test_an_empty_batch_is_nothing(self) -> None:
        assert list(self.store.finish_jobs([])) == []

    def test_a_bad_ending_is_stored_or_spoils_nothing(self) -> None:
        """A NUL in a result: PostgreSQL cannot store it. A store that can may."""
        self.needs("finishes_in_batches")
        good_id, good = self.claimed()
        bad_id, bad = self.claimed()
        unwritable = Completed(job_id=bad_id, claim=bad, results_json='{"text": "\\u0000"}')
        try:
            accepted = self.store.finish_jobs([completed(good_id, good, "good"), unwritable])
        except BadEnding:
            self.assert_running(good_id, good, "BadEnding says that nothing of the batch was written")
            assert self.store.finish_jobs([completed(good_id, good, "good")]) == [True]
            self.assert_running(bad_id, bad, "its ending was refused")
        else:
            assert list(accepted) == [True, True]
            assert self.stored(bad_id, "results") == {"text": "\x00"}
        assert self.stored(good_id, "results") == "good"

    def test_progress_is_stored(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.update_progress(job_id, {"done": 1, "total": 3}, claim=claim) is True
        assert self.stored(job_id, "progress") == {"done": 1, "total": 3}
        self.store.record_progress([(job_id, claim, {"done": 2, "total": 3, "note": "\u00fc"})])
        assert self.stored(job_id, "progress") == {"done": 2, "total": 3, "note": "\u00fc"}
        self.assert_running(job_id, claim, "progress is not an ending")

    def test_the_last_message_is_gone_once_the_job_has_completed(self) -> None:
        job_id, claim = self.claimed()
        assert self.store.schedule_retry(job_id, 1, 0, FAILURE.message, FAILURE.details(), claim=claim)
        assert self.stored(job_id, "error_message") == FAILURE.message
        self.store.promote_due_jobs(100)
        assert self.store.mark_job_completed(job_id, "fine", claim=self.claim(job_id))
        assert not self.stored(job_id, "error_message")
