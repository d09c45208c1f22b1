"""The time that a search has, and what is said when it was not enough."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from pleme_redis_django.admin.search import timeout as search_timeout
from pleme_redis_django.admin.search.timeout import SEARCH_SECONDS, SearchTookTooLong, bounded_time
from pleme_redis_django.models import Job, JobStatus
from tests.admin.conftest import LIST
from tests.hanging import HANGING_STATEMENT
from tests.rows import make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


def test_a_search_that_takes_too_long_is_given_up(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_timeout, "SEARCH_SECONDS", 0.001)
    Job.objects.bulk_create(Job(parameters={"text": "x" * 20_000}) for _ in range(300))
    response = admin_client.get(f"{LIST}?q=param.text:y&queue=default")
    assert (response.status_code, response.url) == (302, f"{LIST}?queue=default")
    with connection.cursor() as cursor:  # the test's own transaction goes on
        cursor.execute("SET LOCAL statement_timeout = 0")
    assert "was given up. Narrow it down" in admin_client.get(response.url).content.decode()


JOBS = "/admin/pleme_redis_django/job/"


def test_a_batch_that_takes_too_long_is_told_and_not_a_500(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(status=JobStatus.FAILED)

    def slow(*_args: Any, **_options: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(HANGING_STATEMENT)
        raise LookupError("no bound has ended the statement")

    monkeypatch.setattr(search_timeout, "SEARCH_SECONDS", 0.1)
    monkeypatch.setattr("pleme_redis_django.admin.bulk.views.run_batch", slow)
    data = {"select_across": "1"}
    answer = admin_client.post(f"{JOBS}bulk/retry/", data, headers={"Accept": "application/json"})
    assert answer.status_code == 503 and "within 0.1 s" in answer.json()["error"]
    assert admin_client.post(f"{JOBS}bulk/retry/", data).status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("role", "expected"), [("0", "10s"), ("3s", "3s"), ("60s", "10s")])
def test_a_shorter_statement_timeout_of_the_role_is_kept(role: str, expected: str) -> None:
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no statement_timeout.")
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [role])
        try:
            with bounded_time("default"):
                cursor.execute("SHOW statement_timeout")
                assert cursor.fetchone() == (expected,)
        finally:
            cursor.execute("RESET statement_timeout")


def test_a_cancelled_statement_says_how_long_it_had() -> None:
    error = OperationalError()
    error.__cause__ = type("QueryCanceled", (Exception,), {"sqlstate": "57014"})()
    with pytest.raises(SearchTookTooLong, match=f"{SEARCH_SECONDS:g} s"), bounded_time("default"):
        raise error
