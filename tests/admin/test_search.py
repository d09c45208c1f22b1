"""The search of a job list: what its terms mean, how far it looks, and what it says when it does not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from pleme_redis_django.admin.search import timeout as search_timeout
from pleme_redis_django.admin.search import window as search_window
from pleme_redis_django.admin.search.conditions import build_search, first_id, id_time
from pleme_redis_django.admin.search.terms import QUALIFIERS, SearchError, Term, parse_search
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import Job, new_job_id
from tests.admin.conftest import LIST, found_by, listed_ids
from tests.rows import BACKENDS, make_failed_job, make_job, make_worker

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  shop.import ", [Term(key="", value="shop.import")]),
        ("status:failed queue:email", [Term(key="status", value="failed"), Term(key="queue", value="email")]),
        ("STATUS:failed", [Term(key="status", value="failed")]),
        ('type:"a b: c"', [Term(key="type", value="a b: c", is_quoted=True)]),
        (r'"say \"hi\" \\"', [Term(key="", value=r'say "hi" ' + "\\", is_quoted=True)]),
        ("param.a.b:1", [Term(key="param", value="1", path=("a", "b"))]),
        ('param."a.b c".d:x', [Term(key="param", value="x", path=("a.b c", "d"))]),
        ("after:2026-11-20T13:05", [Term(key="after", value="2026-11-20T13:05")]),
        ("</pre>", [Term(key="", value="</pre>")]),
    ],
)
def test_a_search_is_read_as_terms(text: str, terms: list[Term]) -> None:
    assert parse_search(text) == terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quue:email", "Did you mean queue:?"),
        ("xyzzy:1", "Known: id:, type:, queue:"),
        ("xyzzy:1", 'quote it: "xyzzy:1"'),
        ("status:", '"status:" has no value'),
        ("param:5", "param.order_id:42"),
        ("queue.name:5", 'only "param." does'),
        ("status:faild", "Did you mean failed?"),
        ("status:nonsense", "Known: pending, queued, running"),
        ("id:zzz", "at least 8 of its 32 hexadecimal digits"),
        ("before:yesterday", "2026-11-20"),
        ("before:2026-02-31", "is not a time"),
        ("after:999999d", "is not a time"),
        ("x" * 500 + ":1", 'x...:" is not a qualifier'),
    ],
)
def test_a_search_that_says_nothing_known_says_what_is_known(text: str, message: str) -> None:
    with pytest.raises(SearchError) as caught:
        build_search(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_page_says_what_is_wrong_and_finds_nothing(admin_client: Client) -> None:
    make_job()
    response = admin_client.get("/admin/pleme_redis_django/job/", {"q": "quue:<script>"})
    page = response.content.decode()
    assert '"quue:" is not a qualifier. Did you mean queue:?' in unescape(page)
    assert page.count("is not a qualifier") == 1
    assert "<script>:" not in page
    assert response.context["cl"].result_count == 0


@pytest.fixture
def jobs(db: None) -> dict[str, Any]:
    """Jobs that differ, each under a name."""
    worker = make_worker(host="web-7")
    return {
        "plain": make_job(),
        "import": make_job(job_type="shop.import", queue_name="bulk"),
        "export": make_job(job_type="shop.export", parameters={"order_id": 42, "to": {"e-mail": "ann"}}),
        "text42": make_job(parameters={"order_id": "42", "flag": True, "none": None, "list": ["a", "b"]}),
        "big": make_job(parameters={"n": 2**63 + 1, "contains": "x", "0": "key"}),
        "nova": make_job(product="novaskyn"),
        "failed": make_failed_job(error_fingerprint="0123456789abcdef" * 2),
        "running": make_job(status=JobStatus.RUNNING, worker_id=worker.id),
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop.", {"import", "export"}),
        ("type:shop.import", {"import"}),
        ("type:shop.*", {"import", "export"}),
        ('type:"shop.*"', set()),
        ("queue:bulk", {"import"}),
        ("product:nova*", {"nova"}),
        ("status:failed", {"failed"}),
        ("status:failed,running", {"failed", "running"}),
        ("status:failed status:running", set()),
        ("status:queued type:shop.import", {"import"}),
        ("worker:web-7", {"running"}),
        ("worker:nowhere", set()),
        ("error:provider_error", {"failed"}),
        ("error:Away", {"failed"}),
        ("error:shop.errors.Away", {"failed"}),
        ("error:way", {"failed"}),
        ('error:"provider is away"', {"failed"}),
        ("error:100%", set()),
        ("error:0123456789abcdef0123456789abcdef", {"failed"}),
        ("param.order_id:42", {"export", "text42"}),
        ('param.order_id:"42"', {"text42"}),
        ("param.to.e-mail:ann", {"export"}),
        ("param.flag:true", {"text42"}),
        ("param.none:null", {"text42"}),
        ("param.list.1:b", {"text42"}),
        (f"param.n:{2**63 + 1}", {"big"}),
        (f"param.n:{2**63}", set()),
        ("param.contains:x", {"big"}),
        ("param.order_id:NaN", set()),
        ("param.order_id:1e999", set()),
        ("after:1h before:0s type:shop.import", {"import"}),
        ("before:1h", set()),
    ],
)
def test_terms_find_what_they_name(
    admin_client: Client, jobs: dict[str, Any], text: str, found: set[str]
) -> None:
    assert found_by(admin_client, text) == {str(jobs[name].pk) for name in found}


@pytest.mark.parametrize("term", ["worker:{}", "id:{}", "{}"])
def test_ids_are_found_by_their_beginning(admin_client: Client, jobs: dict[str, Any], term: str) -> None:
    job = jobs["running"]
    value = str(job.worker_id if term.startswith("worker") else job.pk)
    assert found_by(admin_client, term.format(value[:18])) == {str(job.pk)}


@pytest.mark.parametrize("using", BACKENDS)
@pytest.mark.parametrize(
    "text", ["param.a.b:5", "error:Away", "param.a:null", "status:queued", "worker:web-1"]
)
def test_every_term_is_understood_by_every_database(using: str, text: str) -> None:
    with override_settings(PLEME_REDIS={"DATABASE": using}):
        assert list(Job._base_manager.using(using).filter(build_search(text).condition)) == []


def test_a_time_of_an_id_is_that_of_its_making() -> None:
    at = datetime(2026, 11, 20, 13, 5, 1, 123_000, tzinfo=UTC)
    assert id_time(first_id(at)) == at
    assert abs(id_time(new_job_id()) - timezone.now()) < timedelta(seconds=5)


# How far back


@pytest.fixture
def small_window(monkeypatch: pytest.MonkeyPatch) -> int:
    """The window of a table that is 10,000 times as large."""
    monkeypatch.setattr(search_window, "WINDOW_JOBS", 10)
    return 10


def old_and_new_jobs() -> tuple[Any, list[Any]]:
    old = make_job(
        id=first_id(timezone.now() - timedelta(days=2)), queue_name="rare", status=JobStatus.COMPLETED
    )
    return old, [make_job(status=JobStatus.COMPLETED) for _ in range(12)]


def test_what_has_no_index_is_looked_for_among_the_newest_jobs(
    admin_client: Client, small_window: int
) -> None:
    old, _new = old_and_new_jobs()
    response = admin_client.get("/admin/pleme_redis_django/job/?queue=rare")
    assert response.context["cl"].result_count == 0
    page = response.content.decode()
    assert "Looked through the newest 10 jobs, back to" in page
    earlier = admin_client.get("/admin/pleme_redis_django/job/" + response.context["cl"].earlier_url)
    assert [job.pk for job in earlier.context["cl"].result_list] == [old.pk]


@pytest.mark.parametrize(
    "query", ["", "?status__exact=QUEUED", "?created=1h", "?q=after:7d", "?status__exact=FAILED"]
)
def test_what_has_an_index_is_looked_for_everywhere(
    admin_client: Client, small_window: int, query: str
) -> None:
    old_and_new_jobs()
    assert admin_client.get(f"/admin/pleme_redis_django/job/{query}").context["cl"].window is None


def test_a_question_about_few_waiting_jobs_looks_at_all_of_them(
    admin_client: Client, small_window: int
) -> None:
    _old, _new = old_and_new_jobs()
    stuck = make_job(id=first_id(timezone.now() - timedelta(days=9)), queue_name="rare")
    assert listed_ids(admin_client, "?status__exact=QUEUED&queue=rare") == {str(stuck.pk)}
    assert listed_ids(admin_client, "?queue=rare&q=status:queued") == {str(stuck.pk)}


def test_a_question_about_failures_looks_at_the_newest_failures(
    admin_client: Client, small_window: int
) -> None:
    old = make_failed_job(id=first_id(timezone.now() - timedelta(days=9)), queue_name="rare")
    old_and_new_jobs()
    assert listed_ids(admin_client, "?status__exact=FAILED&queue=rare") == {str(old.pk)}
    for _ in range(12):
        make_failed_job()
    assert listed_ids(admin_client, "?status__exact=FAILED&queue=rare") == set()


def test_a_window_is_found_in_one_query(admin_client: Client, small_window: int) -> None:
    old_and_new_jobs()
    with CaptureQueriesContext(connection) as captured:
        admin_client.get("/admin/pleme_redis_django/job/?q=param.a:1")
    assert sum("OFFSET 10" in query["sql"] for query in captured) == 1


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


def test_every_qualifier_is_in_the_help(admin_client: Client) -> None:
    page = admin_client.get("/admin/pleme_redis_django/job/").content.decode()
    assert [name for name in QUALIFIERS if f"{name}:" not in page and f"{name}." not in page] == []
