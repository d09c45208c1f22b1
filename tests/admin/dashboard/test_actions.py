"""What is done on the dashboard: it works, leaves an entry in the log, and is refused to everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from pleme_redis_django import JobStatus
from pleme_redis_django.models import Job, WorkerProcess
from pleme_redis_django.operations import pause_queue, paused_queues
from pleme_redis_django.redis_state.locks import LockManager
from pleme_redis_django.redis_state.server.keyspace import digest
from tests.admin.conftest import StaffLogin
from tests.rows import ago, make_failed_job, make_worker

ROOT = "/admin/pleme_redis_django/dashboard/"
EVERY_PERMISSION = ("view_job", "pause_job", "retry_job", "drain_workerprocess", "release_lock")
PAUSE = {"product": "acme", "queue": "mails", "reason": "the provider is down", "shown": "acme"}
GROUP = {"fingerprint": "f" * 32, "job_type": "acme.broken", "span": "24h", "product": ""}


def only_globex(_user: object) -> list[str]:
    return ["globex"]


@pytest.fixture
def operator(staff: StaffLogin) -> Client:
    """A staff user with every permission of the dashboard, for every product."""
    return staff(*EVERY_PERMISSION)


@pytest.fixture
def globex_operator(operator: Client, settings: Any) -> Client:
    """The same, for another product than the one of these tests."""
    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_globex"}
    return operator


def logged() -> list[tuple[str, str]]:
    """Return the log's entries: what they are about, and their message."""
    return [(entry.object_repr, entry.change_message) for entry in LogEntry.objects.order_by("pk")]


def drain_address(worker: WorkerProcess) -> str:
    return f"worker/{worker.pk}/drain/"


# Pause and resume


def test_queue_is_paused_with_reason_and_name_and_resumed(operator: Client) -> None:
    answer = operator.post(ROOT + "queue/pause/", PAUSE, follow=True)
    assert answer.redirect_chain == [(ROOT + "queue/acme/mails/", 302)]
    [pause] = paused_queues(product="acme")
    assert (pause.queue_name, pause.reason, pause.paused_by) == ("mails", "the provider is down", "staff-0")
    assert "the provider is down" in answer.content.decode()
    assert "Pause queue" not in answer.content.decode()

    operator.post(ROOT + "queue/resume/", PAUSE)
    assert paused_queues() == []
    assert logged() == [
        ("mails of acme", "Paused: the provider is down"),
        ("mails of acme", "Resumed."),
    ]


def test_pausing_twice_keeps_the_first_reason(operator: Client) -> None:
    operator.post(ROOT + "queue/pause/", PAUSE)
    answer = operator.post(ROOT + "queue/pause/", PAUSE | {"reason": "another"}, follow=True)
    assert "was already paused" in answer.content.decode()
    assert [pause.reason for pause in paused_queues()] == ["the provider is down"]
    assert len(logged()) == 1


def test_queue_of_every_product_is_for_who_sees_them_all(operator: Client, settings: Any) -> None:
    everywhere = PAUSE | {"product": ""}
    operator.post(ROOT + "queue/pause/", everywhere)
    assert [pause.product for pause in paused_queues()] == [""]
    assert "for every product" in operator.get(ROOT + "queue/acme/mails/").content.decode()

    settings.PLEME_REDIS = settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": f"{__name__}.only_globex"}
    assert operator.post(ROOT + "queue/resume/", everywhere).status_code == 403
    assert operator.post(ROOT + "queue/pause/", everywhere | {"queue": "other"}).status_code == 403
    assert [pause.queue_name for pause in paused_queues()] == ["mails"]


@pytest.mark.parametrize("names", [{"queue": ""}, {"queue": "a b"}, {"product": "../x"}])
def test_bad_names_are_not_found(operator: Client, names: dict[str, str]) -> None:
    assert operator.post(ROOT + "queue/pause/", PAUSE | names).status_code == 404


# Drain


def test_worker_is_asked_to_drain(operator: Client) -> None:
    worker = make_worker()
    operator.post(ROOT + drain_address(worker))
    worker.refresh_from_db()
    assert worker.drain_requested_at is not None
    answer = operator.post(ROOT + drain_address(worker), follow=True)
    assert "already draining" in answer.content.decode()
    assert logged() == [("default on web-1 (pid 4242)", "Asked to drain.")]


def test_worker_of_every_product_is_not_drained_by_the_people_of_one(globex_operator: Client) -> None:
    for worker in (make_worker(), make_worker(product="acme")):
        assert globex_operator.post(ROOT + drain_address(worker)).status_code == 403
    assert not WorkerProcess.objects.exclude(drain_requested_at=None).exists()
    own = make_worker(product="globex")
    assert globex_operator.get(ROOT + "worker/").content.decode().count('aria-label="Drain ') == 1
    assert globex_operator.post(ROOT + drain_address(own)).status_code == 302


# Failures


def test_group_of_failures_is_shown_and_retried(operator: Client) -> None:
    fields = {"product": "acme", "job_type": "acme.broken", "error_fingerprint": "f" * 32}
    jobs = [make_failed_job(**fields) for _ in range(3)]
    other = make_failed_job(product="acme", job_type="acme.broken", error_fingerprint="0" * 32)
    old = make_failed_job(**fields, failed_at=ago(25 * 3600))

    shown = operator.post(ROOT + "error/retry/", GROUP)
    assert "3 failed jobs of" in shown.content.decode()
    assert not Job.objects.filter(status=JobStatus.QUEUED).exists()

    answer = operator.post(ROOT + "error/retry/", GROUP | {"confirmed": "1"}, follow=True)
    assert "3 jobs are ready to run again" in answer.content.decode()
    assert "?type=acme.broken" in answer.content.decode()
    assert set(Job.objects.filter(status=JobStatus.QUEUED)) == set(jobs)
    assert set(Job.objects.filter(status=JobStatus.FAILED)) == {other, old}
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(job.pk) for job in jobs}


def test_group_of_another_product_is_not_retried(globex_operator: Client) -> None:
    job = make_failed_job(product="acme", job_type="acme.broken", error_fingerprint="f" * 32)
    globex_operator.post(ROOT + "error/retry/", GROUP | {"confirmed": "1"})
    named = GROUP | {"confirmed": "1", "product": "acme"}
    assert globex_operator.post(ROOT + "error/retry/", named).status_code == 403
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED


# Locks


def test_lock_is_taken_away_from_its_holder(operator: Client) -> None:
    guard = LockManager("acme").try_lock("stock:1", 60)
    assert guard is not None
    [held] = LockManager("acme").held_locks()
    form = {"product": "acme", "digest": held.digest, "fence": str(held.fence), "reason": "the host is gone"}
    assert f'value="{held.digest}"' in operator.get(ROOT + "realtime/?product=acme").content.decode()
    assert operator.post(ROOT + "realtime/release/", form).status_code == 302
    assert LockManager("acme").held_locks() == []
    [(title, message)] = logged()
    assert title == "lock stock:1 of acme"
    assert message.endswith(": the host is gone")


def test_later_holder_keeps_the_lock(operator: Client) -> None:
    lock_digest = digest("stock:1")
    first = LockManager("acme").try_lock("stock:1", 60)
    assert first is not None
    form = {"product": "acme", "digest": lock_digest, "fence": str(first.fence), "reason": "gone"}
    first.release()
    assert LockManager("acme").try_lock("stock:1", 60) is not None
    answer = operator.post(ROOT + "realtime/release/", form, follow=True)
    assert "no longer has the lock" in answer.content.decode()
    assert len(LockManager("acme").held_locks()) == 1
    assert logged() == []


@pytest.mark.parametrize("bad", [{"digest": "x}:lock"}, {"fence": "-1"}, {"fence": ""}, {"product": "*"}])
def test_what_is_no_lock_is_not_found(operator: Client, bad: dict[str, str]) -> None:
    form = {"product": "acme", "digest": digest("stock:1"), "fence": "1", "reason": "x"}
    assert operator.post(ROOT + "realtime/release/", form | bad).status_code == 404


# Who may not


ACTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "pause_job": ("queue/pause/", PAUSE),
    "retry_job": ("error/retry/", GROUP | {"confirmed": "1"}),
    "drain_workerprocess": ("", {}),
    "release_lock": (
        "realtime/release/",
        {"product": "acme", "digest": digest("stock:1"), "fence": "1", "reason": "x"},
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("permission", ACTIONS)
def test_hand_made_post_without_the_permission_is_refused(permission: str, staff: StaffLogin) -> None:
    address, form = ACTIONS[permission]
    address = address or drain_address(make_worker())
    pause_queue("paused", product="acme")
    lacking = staff(*(name for name in EVERY_PERMISSION if name != permission))
    assert lacking.post(ROOT + address, form).status_code == 403
    blind = staff(permission)
    assert blind.post(ROOT + address, form).status_code == 403
    if permission == "pause_job":
        assert lacking.post(ROOT + "queue/resume/", PAUSE | {"queue": "paused"}).status_code == 403
        assert len(paused_queues()) == 1
    assert logged() == []


@pytest.mark.django_db
@pytest.mark.parametrize("permission", ACTIONS)
def test_action_on_another_product_is_refused(permission: str, globex_operator: Client) -> None:
    address, form = ACTIONS[permission]
    job = make_failed_job(product="acme", job_type="acme.broken", error_fingerprint="f" * 32)
    assert LockManager("acme").try_lock("stock:1", 60) is not None
    globex_operator.post(ROOT + (address or drain_address(make_worker(product="acme"))), form)
    job.refresh_from_db()
    assert job.status == JobStatus.FAILED
    assert paused_queues() == []
    assert [lock.name for lock in LockManager("acme").held_locks()] == ["stock:1"]
    assert not WorkerProcess.objects.exclude(drain_requested_at=None).exists()
    assert logged() == []


@pytest.mark.parametrize("address", [address for address, _form in ACTIONS.values() if address])
def test_actions_are_posts_with_a_token(address: str, operator: Client) -> None:
    assert operator.get(ROOT + address).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(ROOT + address, PAUSE).status_code == 403
