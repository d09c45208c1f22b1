"""What a field of another model that refers to a job offers: the newest jobs, with a bound and without a word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.messages import get_messages
from django.db import connection, models
from django.test import Client, RequestFactory
from django.urls import resolve

from pleme_redis_django.admin.search import autocomplete, timeout, window
from pleme_redis_django.models import Job
from tests.hanging import HANGING_STATEMENT
from tests.rows import make_job

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/autocomplete/"


class OfAField(AutocompleteJsonView):
    """Django's own view, for a field that no model of the suite has."""

    def process_request(self, request: Any) -> Any:
        field = models.ForeignKey(Job, on_delete=models.CASCADE)
        return request.GET["term"], admin.site.get_model_admin(Job), field, "id"


def offered(client: Client, term: str = "") -> list[str]:
    """Return the ids that the field offers on its first page; no message may be left for another page."""
    request: Any = RequestFactory().get(ADDRESS, {"term": term})
    answer = client.get("/admin/")
    request.user, request.session = answer.wsgi_request.user, client.session
    request._messages = answer.wsgi_request._messages
    request.resolver_match = resolve(ADDRESS)
    response = OfAField.as_view(admin_site=admin.site)(request)
    assert list(get_messages(request)) == []
    return [each["id"] for each in json.loads(response.content)["results"]]


def test_a_field_offers_the_newest_jobs_first(admin_client: Client) -> None:
    jobs = [str(make_job().pk) for _ in range(3)]
    assert offered(admin_client) == jobs[::-1]


def test_a_term_is_looked_for_as_in_the_list(admin_client: Client) -> None:
    wanted = make_job(queue_name="mails")
    make_job()
    assert offered(admin_client, "queue:mails") == [str(wanted.pk)]


def test_a_term_that_means_nothing_offers_nothing_and_leaves_no_message(admin_client: Client) -> None:
    make_job()
    assert offered(admin_client, "status:nonsense") == []


def test_it_looks_through_the_newest_jobs_alone(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "WINDOW_JOBS", 3)
    make_job(queue_name="mails")
    for _ in range(4):
        make_job()
    assert offered(admin_client, "queue:mails") == []


def test_what_takes_too_long_offers_nothing(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()

    def take_too_long(*_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(HANGING_STATEMENT)
        raise LookupError("no bound has ended the statement")

    monkeypatch.setattr(timeout, "SEARCH_SECONDS", 0.1)
    monkeypatch.setattr(autocomplete, "newest_jobs", take_too_long)
    assert offered(admin_client) == []
