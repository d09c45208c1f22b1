"""The page of the worker processes: which comes first, what a drain leaves unserved, what is known of the dead."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from pleme_redis_django.models import Job
from tests.admin.conftest import StaffLogin, running_job, text_of
from tests.rows import ago, make_attempt, make_failed_job, make_worker

pytestmark = pytest.mark.django_db

ROOT = "/admin/pleme_redis_django/dashboard/"


def test_a_drain_is_asked_about_and_says_what_it_leaves_unserved(admin_client: Client) -> None:
    make_worker(queues=["mail", "sms"], host="one")
    assert "It is the last live process" in text_of(admin_client, f"{ROOT}worker/")
    make_worker(queues=["mail"], host="two")
    page = text_of(admin_client, f"{ROOT}worker/")
    assert "No other process serves the queue sms." in page and page.count("Drain this process") == 2
    make_worker(queues=["*"], host="three")
    assert "No other process serves every other queue." in text_of(admin_client, f"{ROOT}worker/")


def test_the_worker_with_the_longest_running_job_is_on_top(admin_client: Client) -> None:
    quick, stuck = make_worker(host="quick"), make_worker(host="stuck")
    dead = make_worker(host="dead", died_at=ago(5))
    for worker, seconds in ((quick, 2), (stuck, 30_000)):
        job = running_job()
        Job.objects.filter(pk=job.pk).update(worker_id=worker.pk, started_at=ago(seconds))
    shown = [row["worker"].host for row in admin_client.get(f"{ROOT}worker/").context["rows"]]
    assert shown == [stuck.host, quick.host, dead.host]


def test_what_a_dead_worker_held_and_what_became_of_it_is_still_known(admin_client: Client) -> None:
    dead = make_worker(
        host="dead", started_at=ago(30_000), heartbeat_at=ago(20_000), died_at=ago(19_970), running=3
    )
    attempt = make_attempt(make_failed_job(), worker_id=dead.pk, error_code="worker_died")
    make_attempt(make_failed_job())
    page = text_of(admin_client, f"{ROOT}worker/")
    assert "held 3 jobs at its last heartbeat" in page
    assert re.search(r"lived</span> 2 h 46 m", page)
    (link,) = re.findall(r'href="([^"]+worker_id=[^"]+)"', page)
    assert list(admin_client.get(link).context["cl"].result_list) == [attempt]


def test_a_dead_workers_attempts_are_offered_to_those_who_may_see_them(staff: StaffLogin) -> None:
    make_worker(died_at=ago(5), running=1)
    assert "worker_id=" not in text_of(staff("view_job"), f"{ROOT}worker/")


def test_why_a_process_is_replaced_is_shown_while_it_drains(admin_client: Client) -> None:
    make_worker(draining_since=ago(5), drain_reason="it has run 3 jobs (max_jobs_per_process <3>)")
    page = text_of(admin_client, f"{ROOT}worker/")
    assert 'data-worker-state="draining"' in page
    assert "replaced: it has run 3 jobs (max_jobs_per_process &lt;3&gt;)" in page
