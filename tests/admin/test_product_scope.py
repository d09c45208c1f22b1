"""A staff user who is limited to one product neither sees nor touches the jobs of another, on any path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from pleme_redis_django.admin.bulk.operations import OPERATIONS
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job
from tests.admin.conftest import LIST, OPTIONS, StaffLogin, found_by, listed_ids
from tests.rows import make_attempt, make_failed_job, make_job, make_worker

pytestmark = pytest.mark.django_db

EVERYTHING = ("view_job", "retry_job", "cancel_job", "reschedule_job", "delete_job", "view_jobattempt")


def only_novaskyn(_user: Any) -> list[str]:
    return ["novaskyn"]


@pytest.fixture(autouse=True)
def _limited(settings: Any) -> Iterator[None]:
    path = f"{__name__}.{only_novaskyn.__name__}"
    with override_settings(PLEME_REDIS=settings.PLEME_REDIS | {"DASHBOARD_PRODUCTS": path}):
        yield


@pytest.fixture
def own() -> Any:
    return make_failed_job(product="novaskyn", queue_name="own", error_fingerprint="a" * 32)


@pytest.fixture
def other() -> Any:
    job = make_failed_job(
        product="other",
        queue_name="secret",
        job_type="secret.type",
        parameters={"k": "v"},
        error_fingerprint="a" * 32,
    )
    make_attempt(job, message="a secret message", traceback="a secret traceback")
    return job


@pytest.fixture
def limited(staff: StaffLogin) -> Client:
    return staff(*EVERYTHING)


@pytest.mark.parametrize(
    "query",
    ["", "?status__exact=FAILED", "?product=other", "?queue=secret", "?type=secret.type", "?created=1h"],
)
def test_no_list_and_no_filter_shows_the_job(limited: Client, own: Any, other: Any, query: str) -> None:
    response = limited.get(LIST + query)
    assert str(other.pk) not in response.content.decode()
    assert {job.pk for job in response.context["cl"].result_list} <= {own.pk}


def test_the_filters_offer_nothing_of_it(limited: Client, own: Any, other: Any) -> None:
    make_worker(product="other", host="secret-host")
    make_worker(host="shared-host")
    page = limited.get(LIST).content.decode()
    assert "secret" not in page
    assert "shared-host" in page


@pytest.mark.parametrize(
    "text", ["id:{id}", "{id}", "product:other", "param.k:v", "error:{fingerprint}", "secret."]
)
def test_no_search_finds_it(limited: Client, own: Any, other: Any, text: str) -> None:
    found = found_by(limited, text.format(id=other.pk, fingerprint=other.error_fingerprint))
    assert found <= {str(own.pk)}


@pytest.mark.parametrize("page", ["change", "history", "delete", "part/parameters", "state"])
def test_no_page_shows_it(limited: Client, own: Any, other: Any, page: str) -> None:
    assert limited.get(f"{LIST}{own.pk}/{page}/").status_code == 200
    response = limited.get(f"{LIST}{other.pk}/{page}/")
    assert response.status_code in (302, 404), "as for a job that does not exist"


def test_workers_of_another_product_are_not_shown(staff: StaffLogin) -> None:
    seen = [make_worker(host="shared"), make_worker(product="novaskyn", host="own")]
    other = make_worker(product="other", host="secret-host")
    client, address = staff("view_workerprocess"), "/admin/pleme_redis_django/workerprocess/"
    rows = client.get(address).context["cl"].result_list
    assert {row.pk for row in rows} == {worker.pk for worker in seen}
    assert client.get(f"{address}{other.pk}/change/").status_code == 302


def test_its_attempts_are_not_shown(limited: Client, own: Any, other: Any) -> None:
    seen = make_attempt(own)
    response = limited.get("/admin/pleme_redis_django/jobattempt/")
    assert [row.pk for row in response.context["cl"].result_list] == [seen.pk]
    for job_id in (other.pk, own.pk):
        found = (
            limited.get("/admin/pleme_redis_django/jobattempt/", {"q": str(job_id)}).context["cl"].result_list
        )
        assert [row.pk for row in found] == ([seen.pk] if job_id == own.pk else [])


@pytest.mark.parametrize("across", ["0", "1"])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_no_operation_on_many_touches_it(limited: Client, name: str, across: str) -> None:
    own, other = pair_for(name)
    before = Job.objects.filter(pk=other.pk).values().get()
    data = {
        "_selected_action": [str(own.pk), str(other.pk)],
        "select_across": across,
        **OPTIONS.get(name, {}),
    }
    confirmation = limited.post(LIST, {"action": f"{name}_selected", **data}, follow=True).content.decode()
    assert "secret" not in confirmation
    limited.post(f"{LIST}bulk/{name}/", data)
    answer = limited.post(f"{LIST}bulk/{name}/", data, headers={"accept": "application/json"})
    assert answer.status_code == 200
    assert Job.objects.filter(pk=other.pk).values().get() == before
    assert LogEntry.objects.filter(object_id=str(own.pk)).exists()
    assert not LogEntry.objects.filter(object_id=str(other.pk)).exists()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_no_button_of_its_page_touches_it(limited: Client, name: str) -> None:
    _own, other = pair_for(name)
    before = Job.objects.filter(pk=other.pk).values().get()
    assert limited.post(f"{LIST}{other.pk}/operation/{name}/", OPTIONS.get(name, {})).status_code == 404
    limited.post(f"{LIST}{other.pk}/delete/", {"post": "yes"})
    assert Job.objects.filter(pk=other.pk).values().get() == before


def pair_for(name: str) -> tuple[Any, Any]:
    """Return a job of the user's product and one of another, both such that the operation changes them."""
    status = next(iter(OPERATIONS[name].statuses - {JobStatus.RUNNING}))
    fields = {"status": status, "queue_name": "q"}
    if OPERATIONS[name].in_order_only:
        fields |= {"order_key": "order:7", "status": JobStatus.QUEUED}
        for product in ("novaskyn", "other"):
            line = {"order_key": "order:7", "blocked_on": f"o:{product}:order:7"}
            make_job(product=product, status=JobStatus.BLOCKED, **line)
    return make_job(product="novaskyn", **fields), make_job(product="other", job_type="secret.type", **fields)


def test_an_empty_list_of_products_shows_nothing(
    limited: Client, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.only_novaskyn", lambda _user: [])
    make_worker(host="shared-host")
    assert listed_ids(limited) == set()
    assert "shared-host" not in limited.get(LIST).content.decode()


def test_workers_of_every_product_are_not_shown_to_users_without_one(
    staff: StaffLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.only_novaskyn", lambda _user: [])
    worker = make_worker(host="shared-host")
    client, address = staff("view_workerprocess"), "/admin/pleme_redis_django/workerprocess/"
    assert list(client.get(address).context["cl"].result_list) == []
    assert client.get(f"{address}{worker.pk}/change/").status_code == 302


def test_a_list_that_is_limited_looks_through_the_newest_jobs_only(
    limited: Client, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pleme_redis_django.admin.search import window as search_window

    monkeypatch.setattr(search_window, "WINDOW_JOBS", 5)
    for _ in range(6):
        make_job(product="other")
    response = limited.get(LIST)
    assert response.context["cl"].window is not None
    assert "Looked through the newest 5 jobs" in response.content.decode()
    assert listed_ids(limited, "?status__exact=FAILED") == {str(own.pk)}


def test_the_list_of_attempts_reads_no_table_of_jobs(limited: Client, own: Any) -> None:
    """It would go through all jobs of the product, at each page."""
    make_attempt(own)
    with CaptureQueriesContext(connection) as captured:
        assert limited.get("/admin/pleme_redis_django/jobattempt/").status_code == 200
    assert not [query for query in captured if '"pleme_redis_django_job"' in query["sql"]]
