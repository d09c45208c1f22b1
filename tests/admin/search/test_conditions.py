"""The search of a job list: what its terms mean, how far it looks, and what it says when it does not know."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from pleme_redis_django.admin.search.conditions import build_search, first_id, id_time
from pleme_redis_django.admin.search.terms import SearchError
from pleme_redis_django.models import Job, new_job_id
from tests.admin.conftest import found_by
from tests.rows import BACKENDS, make_job

pytestmark = pytest.mark.django_db(databases=["default", "sqlite"])


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
        ("status:nonsense", "Known: pending, blocked, queued, running"),
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
        ("status:blocked", {"blocked"}),
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


def test_an_id_of_another_kind_has_a_time_too() -> None:
    """Its first 48 bits may name a year that Python has not."""
    assert id_time(uuid.UUID(int=2**128 - 1)) == datetime.max.replace(tzinfo=UTC)
