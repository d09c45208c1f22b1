"""Encrypted parameters: what rows, pages, searches and failures hold of them, and what a missing key means."""

from __future__ import annotations

import io
import json
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from pleme_redis_django import job, signals
from pleme_redis_django.access.redaction import redact_job
from pleme_redis_django.admin.search.conditions import build_search
from pleme_redis_django.checks.middleware import check_middleware
from pleme_redis_django.exceptions import (
    EncryptionKeyMissing,
    InvalidParameters,
    ProviderError,
)
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.middleware import EncryptedParameters, decrypted_parameters, decrypted_results
from pleme_redis_django.middleware.encryption.key_ring import key_id
from pleme_redis_django.middleware.encryption.reading import key_ring
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.operations import retry_jobs
from pleme_redis_django.tasks_backend.api import TaskResultStatus
from pleme_redis_django.testing import assert_enqueued, drain_jobs
from tests.integration.conftest import StartWorkers, start_workers
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.workload import tasks
from tests.workload.jobs import add, refuse_card

__all__ = ["start_workers"]

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
SECRET = "4111-1111-1111-1111"
KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


@job(name="tests.middleware.charge", max_retries=1, base_retry_delay=0)
def charge(card: str, amount: int, fails: str = "") -> str:
    return charged(card, amount, fails)


@job(name="tests.middleware.charge_async", max_retries=1, base_retry_delay=0)
async def charge_async(card: str, amount: int, fails: str = "") -> str:
    return charged(card, amount, fails)


@job(name="tests.middleware.charge_once", unique="while_running")
def charge_once(card: str) -> None: ...


@job(name="tests.middleware.charge_last", unique="while_waiting")
def charge_last(card: str) -> None: ...


@job(name="tests.middleware.charge_typed")
def charge_typed(key: uuid.UUID, amount: Decimal) -> Decimal:
    assert isinstance(key, uuid.UUID)
    return 2 * amount


def charged(card: str, amount: int, fails: str) -> str:
    if fails == "result":
        return {card: object()}
    if fails:
        try:
            raise KeyError(card)
        except KeyError as error:
            error.add_note(card)
            raise ProviderError(f"the card {card} was refused") from error
    return f"charged {card[-4:]} {amount}"


HANDLERS = {"sync": charge, "async": charge_async}


@pytest.fixture
def encrypt(use: UseMiddleware) -> Any:
    """``encrypt(*keys, **options)``: have the settings encrypt with these keys."""

    def set_keys(*keys: str, **options: Any) -> None:
        use(EncryptedParameters, ENCRYPTION={"KEYS": list(keys), **options})

    return set_keys


def rows_text() -> str:
    """Return all that the database holds of jobs and attempts, as text."""
    with connection.cursor() as cursor:
        text = ""
        for table in ("pleme_redis_django_job", "pleme_redis_django_jobattempt"):
            cursor.execute(f"SELECT row_to_json({table}.*)::text FROM {table}")
            text += "\n".join(row[0] for row in cursor.fetchall())
    return text


@KINDS
def test_the_row_holds_ciphertext_and_the_handler_gets_the_parameters(encrypt: Any, kind: str) -> None:
    encrypt(NEW)
    returned = HANDLERS[kind].enqueue(SECRET, amount=5)
    assert SECRET not in rows_text() and SECRET not in json.dumps(returned.parameters)
    assert set(Job.objects.get().parameters) == {"$encrypted"}
    assert decrypted_parameters(returned) == {"card": SECRET, "amount": 5}
    (attempt,) = drain_jobs()
    assert attempt.job.results == "charged 1111 5"
    assert SECRET not in rows_text()


def test_each_job_of_enqueue_many_is_encrypted(encrypt: Any, django_assert_num_queries: Any) -> None:
    encrypt(NEW)
    with django_assert_num_queries(1):
        charge.enqueue_many({"card": f"{SECRET}-{number}", "amount": number} for number in range(20))
    assert SECRET not in rows_text()
    assert len({job.parameters["$encrypted"]["token"] for job in Job.objects.all()}) == 20
    assert len(drain_jobs().completed) == 20


@KINDS
@pytest.mark.parametrize("fails", ["error", "result"])
def test_a_failure_keeps_places_and_no_values(encrypt: Any, kind: str, fails: str, caplog: Any) -> None:
    encrypt(NEW)
    heard: list[Any] = []

    def hear(failure: Any, **_: Any) -> None:
        heard.append(failure)

    signals.job_failed.connect(hear)
    try:
        HANDLERS[kind].using(max_retries=0).enqueue(SECRET, 5, fails=fails)
        (attempt,) = drain_jobs()
    finally:
        signals.job_failed.disconnect(hear)
    assert attempt.job.status == JobStatus.FAILED
    kept = JobAttempt.objects.get()
    assert kept.message == f"{kept.error_class.rpartition('.')[2]}: " + (
        "the message is not kept, because the parameters of the job are encrypted."
    )
    if fails == "error":
        assert kept.error_code == "provider_error"
        assert "in charged" in kept.traceback and "builtins.KeyError" in kept.traceback
    assert "test_job_middleware.py" in kept.traceback or fails == "result"
    assert SECRET not in rows_text() and SECRET not in caplog.text
    assert [(failure.exception, SECRET in str(failure)) for failure in heard] == [(None, False)]


def test_typed_parameters_are_plain_json_for_middleware_and_typed_for_the_handler(
    use: UseMiddleware, seen: list[Any]
) -> None:
    use(EncryptedParameters, classes.SeesParameters, ENCRYPTION={"KEYS": [NEW], "RESULTS": True})
    key = uuid.UUID("0198a2f0-0000-7000-8000-000000000000")
    charge_typed.enqueue(key, amount=Decimal("1.50"))
    (done,) = drain_jobs().completed
    assert seen == [{"key": str(key), "amount": "1.50"}] * 2
    assert decrypted_results(done) == "3.00"
    with pytest.raises(InvalidParameters, match="amount"):
        charge_typed.enqueue(key, amount="much")
    use(EncryptedParameters, classes.SpoilsTheAmount, ENCRYPTION={"KEYS": [NEW]})
    with pytest.raises(InvalidParameters, match="amount"):
        charge_typed.enqueue(key, amount=Decimal("1.50"))


def test_types_that_are_not_named_stay_plain(encrypt: Any) -> None:
    encrypt(NEW, JOB_TYPES=["tests.middleware.charge*"])
    add.enqueue(1, 2)
    charge.enqueue(SECRET, 5)
    assert {"left": 1, "right": 2} in list(Job.objects.values_list("parameters", flat=True))
    assert SECRET not in rows_text()
    assert len(drain_jobs().completed) == 2


def test_rows_from_before_it_was_switched_on_run(encrypt: Any) -> None:
    charge.enqueue(SECRET, 5)
    encrypt(NEW)
    assert len(drain_jobs().completed) == 1


def test_keys_rotate(encrypt: Any) -> None:
    encrypt(OLD)
    charge.enqueue(SECRET, 1)
    encrypt(NEW, OLD)
    charge.enqueue(SECRET, 2)
    used = [job.parameters["$encrypted"]["key"] for job in Job.objects.order_by("id")]
    assert used == [key_id(OLD.encode()), key_id(NEW.encode())]
    assert len(drain_jobs().completed) == 2


@KINDS
def test_without_its_key_a_job_fails_clearly_and_runs_once_it_is_back(encrypt: Any, kind: str) -> None:
    encrypt(OLD)
    HANDLERS[kind].enqueue(SECRET, 5)
    stored = Job.objects.get().parameters
    encrypt(NEW)
    summary = drain_jobs(with_retries=True)
    assert [type(attempt.ending).__name__ for attempt in summary] == ["Retried", "Failed"]
    failed = Job.objects.get()
    assert failed.error_details["error_code"] == "encryption_key_missing"
    assert key_id(OLD.encode()) in failed.error_message and key_id(NEW.encode()) in failed.error_message
    assert stored["$encrypted"]["token"] not in failed.error_message
    assert failed.parameters == stored
    encrypt(NEW, OLD)
    assert retry_jobs(Job.objects.all())
    assert [done.results for done in drain_jobs().completed] == ["charged 1111 5"]


def test_what_was_changed_or_is_of_another_job_is_refused(encrypt: Any) -> None:
    encrypt(NEW)
    charge.enqueue(SECRET, 5)
    charge_async.enqueue(SECRET, 6)
    envelope = Job.objects.get(job_type=charge.name).parameters
    Job.objects.filter(job_type=charge_async.name).update(parameters=envelope)
    content = envelope["$encrypted"] | {"token": envelope["$encrypted"]["token"][:-4] + "AAA="}
    Job.objects.filter(job_type=charge.name).update(parameters={"$encrypted": content})
    summary = drain_jobs()
    assert len(summary.failed) == 2 and not summary.retried
    for failed in summary.failed:
        assert failed.error_details["error_code"] == "invalid_parameters"
        assert "was not encrypted for it" in failed.error_message


def test_uniqueness_works_on_a_keyed_digest(encrypt: Any) -> None:
    plain = charge_once.enqueue(SECRET)
    encrypt(NEW, DIGEST_KEY="d" * 32)
    first = charge_once.enqueue(SECRET)
    assert first != plain, "a slot that anybody could compute would give the parameters away"
    assert charge_once.enqueue(SECRET) == first
    assert charge_once.enqueue("another") != first
    keyed = charge.using(unique_key="order 7").enqueue(SECRET, 1)
    assert charge.using(unique_key="order 7").enqueue(SECRET, 2) == keyed
    encrypt(OTHER, NEW, DIGEST_KEY="d" * 32)
    assert charge_once.enqueue(SECRET) == first, (
        "a rotation changes nothing where the digests have a key of their own"
    )


def found(text: str) -> int:
    return Job.objects.filter(build_search(text).condition).count()


def test_a_search_finds_them_by_a_keyed_digest(encrypt: Any) -> None:
    encrypt(OLD)
    charge.enqueue(SECRET, 5)
    encrypt(NEW, OLD)
    charge.enqueue(SECRET, 7)
    add.enqueue(1, 2)
    assert (found(f"param.card:{SECRET}"), found("param.amount:7"), found("param.amount:8")) == (2, 1, 0)
    assert found("param.left:1") == 1
    encrypt(NEW)
    assert found(f"param.card:{SECRET}") == 1
    encrypt(NEW, SEARCHABLE=["amount"])
    charge.enqueue(SECRET, 9)
    assert set(Job.objects.latest("id").parameters["$encrypted"]["digests"]) == {"amount"}


def test_pages_show_that_it_is_encrypted(encrypt: Any, admin_client: Any) -> None:
    encrypt(NEW, RESULTS=True)
    charge.enqueue(SECRET, 5)
    drain_jobs()
    stored = Job.objects.get()
    tokens = [stored.parameters["$encrypted"]["token"], stored.results["$encrypted"]["token"]]
    pages = [
        "/admin/pleme_redis_django/job/",
        f"/admin/pleme_redis_django/job/{stored.pk}/change/",
        f"/admin/pleme_redis_django/job/{stored.pk}/part/parameters/",
        f"/admin/pleme_redis_django/job/{stored.pk}/part/results/",
        f"/admin/pleme_redis_django/job/{stored.pk}/state/",
    ]
    for page in pages:
        response = admin_client.get(page)
        assert response.status_code == 200, page
        text = response.content.decode()
        assert not [token for token in (*tokens, SECRET, "$encrypted") if token in text], page
    assert "encrypted" in admin_client.get(pages[2]).content.decode()


def test_a_redaction_is_not_asked_about_ciphertext(encrypt: Any, settings: Any) -> None:
    encrypt(NEW)
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "REDACT": f"{__name__}.tell"}
    charge.enqueue(SECRET, 5)
    stored = Job.objects.get()
    redact_job(stored)
    assert stored.parameters == "encrypted"


def tell(_job: Any, field: str, value: Any) -> Any:
    return value


@KINDS
def test_results_are_encrypted_when_asked_for(encrypt: Any, kind: str) -> None:
    encrypt(NEW, RESULTS=True)
    HANDLERS[kind].enqueue(SECRET, 5)
    (done,) = drain_jobs().completed
    assert set(done.results) == {"$encrypted"}
    assert decrypted_results(done) == done.wait(timeout=1) == "charged 1111 5"
    encrypt(OTHER)
    with pytest.raises(EncryptionKeyMissing):
        decrypted_results(done)


def test_results_of_tasks_are_readable_with_the_key_alone(encrypt: Any) -> None:
    encrypt(NEW, RESULTS=True)
    result = tasks.add.enqueue(1, right=2)
    drain_jobs()
    result.refresh()
    assert (result.status, result.return_value, result.args, result.kwargs) == (
        TaskResultStatus.SUCCESSFUL,
        3,
        [1],
        {"right": 2},
    )
    encrypt(OTHER)
    result = tasks.add.get_result(result.id)
    assert (result.status, result.return_value, result.args, result.kwargs) == (
        TaskResultStatus.SUCCESSFUL,
        None,
        [],
        {},
    )


def test_an_inner_middleware_sees_them_plain(use: UseMiddleware, seen: list[Any]) -> None:
    use(EncryptedParameters, classes.Changing, ENCRYPTION={"KEYS": [NEW]})
    add.enqueue(1, 2)
    (attempt,) = drain_jobs()
    assert attempt.job.results == 2 + 100 + 1000
    use(classes.Changing, EncryptedParameters, ENCRYPTION={"KEYS": [NEW]})
    add.enqueue(1, 2)
    (attempt,) = drain_jobs()
    assert attempt.job.status == JobStatus.PENDING or attempt.job.status == JobStatus.FAILED


def test_parameters_are_checked_before_they_are_encrypted(encrypt: Any) -> None:
    encrypt(NEW)
    for wrong in ({"card": SECRET}, {"card": {1}, "amount": 1}, {"card": "x" * 300_000, "amount": 1}):
        with pytest.raises(InvalidParameters):
            charge.enqueue(**wrong)
    assert not Job.objects.exists()


def test_assert_enqueued_reads_them(encrypt: Any) -> None:
    encrypt(NEW)
    charge.enqueue(SECRET, 5)
    assert_enqueued(charge, card=SECRET)
    with pytest.raises(AssertionError, match="amount=5"):
        assert_enqueued(charge, amount=6)


def test_the_guard_of_a_deploy_reads_them_and_names_a_missing_key(encrypt: Any) -> None:
    encrypt(OLD)
    charge.enqueue(SECRET, 5)
    call_command("checkjobs", stdout=io.StringIO())
    encrypt(NEW)
    output = io.StringIO()
    with pytest.raises(CommandError):
        call_command("checkjobs", stdout=output)
    assert f"encrypted with the key {key_id(OLD.encode())}" in output.getvalue()


def test_the_guard_of_a_deploy_shows_no_value(encrypt: Any) -> None:
    encrypt(NEW)
    charge_typed.enqueue(uuid.uuid4(), amount=Decimal("1.50"))
    ring = key_ring()
    assert ring is not None
    spoiled = ring.encrypt(charge_typed.name, {"key": str(uuid.uuid4()), "amount": SECRET})
    Job.objects.update(parameters=spoiled)
    output = io.StringIO()
    with pytest.raises(CommandError):
        call_command("checkjobs", stdout=output)
    assert "the parameter amount is encrypted" in output.getvalue()
    assert SECRET not in output.getvalue()


@pytest.mark.parametrize("on_conflict", ["keep", "replace", "extend"])
def test_what_a_conflict_writes_is_encrypted(encrypt: Any, on_conflict: str) -> None:
    encrypt(NEW)
    later = timezone.now() + timedelta(hours=1)
    debounced = charge_last.using(unique_key="order 7", run_after=later, on_conflict=on_conflict)
    first = debounced.enqueue("first card")
    assert debounced.enqueue(SECRET) == first
    assert SECRET not in rows_text()
    expected = SECRET if on_conflict == "replace" else "first card"
    assert decrypted_parameters(Job.objects.get()) == {"card": expected}


def test_keys_without_the_middleware_are_warned_of(encrypt: Any, settings: Any) -> None:
    encrypt(NEW)
    assert list(check_middleware()) == []
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "MIDDLEWARE": []}
    assert [found.id for found in check_middleware()] == ["pleme_redis_django.W005"]


@pytest.mark.process
def test_worker_processes_decrypt(encrypt: Any, start_workers: StartWorkers) -> None:
    encrypt(NEW)
    middleware = classes.paths(EncryptedParameters)
    add.using(max_retries=0).enqueue(1, 2)
    broken = refuse_card.using(isolated=True, max_retries=0).enqueue(SECRET)
    without = start_workers("--burst", middleware=middleware, encryption={"KEYS": [OTHER]})
    assert without.exit_code() == 0, without.output()
    failed = Job.objects.get(job_type=add.name)
    assert (failed.status, failed.error_details["error_code"]) == ("FAILED", "encryption_key_missing")
    retry_jobs(Job.objects.all())
    workers = start_workers("--burst", middleware=middleware, encryption={"KEYS": [OTHER, NEW]})
    assert workers.exit_code() == 0, workers.output()
    assert Job.objects.get(job_type=add.name).results == 3
    broken.refresh_from_db()
    assert broken.error_message.startswith("ProviderError: the message is not kept")
    assert SECRET not in rows_text()
    for output in (without.output(), workers.output()):
        assert failed.parameters["$encrypted"]["token"] not in output and NEW not in output
