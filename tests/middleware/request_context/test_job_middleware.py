"""RequestContext: the request's id, user and language go along with its jobs, sync and async, and into their logs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils import translation

from pleme_redis_django import job
from pleme_redis_django.middleware import RequestContext, current_request
from pleme_redis_django.middleware.request_context.facts import RequestFacts, answering
from pleme_redis_django.models import Job
from pleme_redis_django.testing import drain_jobs
from tests.integration.conftest import StartWorkers, start_workers
from tests.middleware.conftest import UseMiddleware
from tests.workload.jobs import add, say_request

__all__ = ["start_workers"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _the_language_of_the_settings(settings: Any) -> Iterator[None]:
    """A request of another test, which ran in this thread, may have left its own behind."""
    with translation.override(settings.LANGUAGE_CODE):
        yield


REQUEST = RequestFacts(request_id="r-1", user_id="7", language=None)


def facts() -> dict[str, Any] | None:
    current = current_request()
    language = translation.get_language()
    return (
        None if current is None else {"id": current.request_id, "user": current.user_id, "language": language}
    )


@job(name="tests.middleware.tell")
def tell() -> Any:
    return facts()


@job(name="tests.middleware.tell_async")
async def atell() -> Any:
    return facts()


@job(name="tests.middleware.enqueue_another")
def enqueue_another() -> None:
    tell.enqueue()


HANDLERS = pytest.mark.parametrize("handler", [tell, atell], ids=["sync", "async"])


def enqueue_view(request: HttpRequest) -> HttpResponse:
    with translation.override("de"):
        return HttpResponse(tell.enqueue().pk)


async def aenqueue_view(request: HttpRequest) -> HttpResponse:
    with translation.override("de"):
        return HttpResponse((await atell.aenqueue()).pk)


urlpatterns = [path("enqueue/", enqueue_view), path("aenqueue/", aenqueue_view)]


@pytest.fixture
def in_django(use: UseMiddleware, settings: Any) -> None:
    """Both middleware, as a project has them."""
    use(RequestContext)
    settings.ROOT_URLCONF = __name__
    ours = "pleme_redis_django.middleware.RequestContextMiddleware"
    settings.MIDDLEWARE = [ours, *settings.MIDDLEWARE]


@pytest.fixture
def user() -> Any:
    return get_user_model().objects.create_user("ada")


def test_a_request_goes_along_with_its_job(in_django: None, user: Any) -> None:
    client = Client()
    client.force_login(user)
    response = client.get("/enqueue/", headers={"X-Request-ID": "abc.1"})
    assert response.headers["X-Request-ID"] == "abc.1"
    expected = {"id": "abc.1", "user": str(user.pk), "language": "de"}
    assert Job.objects.get().metadata == {"request_context": expected}
    assert [done.results for done in drain_jobs().completed] == [expected]
    assert facts() is None


async def test_an_async_request_goes_along_with_its_async_job(in_django: None, user: Any) -> None:
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get("/aenqueue/", headers={"X-Request-ID": "abc.2"})
    assert response.headers["X-Request-ID"] == "abc.2"
    expected = {"id": "abc.2", "user": str(user.pk), "language": "de"}
    assert (await Job.objects.aget()).metadata == {"request_context": expected}


@HANDLERS
def test_it_is_the_current_request_of_the_attempt(use: UseMiddleware, handler: Any) -> None:
    use(RequestContext)
    with answering(REQUEST), translation.override("fr"):
        handler.enqueue()
    before = translation.get_language()
    assert [done.results for done in drain_jobs().completed] == [{"id": "r-1", "user": "7", "language": "fr"}]
    assert (facts(), translation.get_language()) == (None, before)


def test_jobs_of_a_job_inherit_it(use: UseMiddleware) -> None:
    use(RequestContext)
    with answering(REQUEST), translation.override("fr"):
        enqueue_another.enqueue()
    assert drain_jobs().completed[-1].results == {"id": "r-1", "user": "7", "language": "fr"}


def test_jobs_without_a_request_carry_nothing(use: UseMiddleware) -> None:
    use(RequestContext)
    tell.using(metadata={"order": 1}).enqueue()
    assert Job.objects.get().metadata == {"order": 1}
    assert [done.results for done in drain_jobs().completed] == [None]


@pytest.mark.parametrize(
    "kept",
    [None, "abc", [], {}, {"id": 7}, {"id": "a", "user": 7, "language": 7}, {"id": "a", "language": "xx"}],
)
@HANDLERS
def test_whatever_a_row_holds_there_is_survived(use: UseMiddleware, handler: Any, kept: Any) -> None:
    use(RequestContext)
    handler.using(metadata={"request_context": kept}).enqueue()
    (done,) = drain_jobs().completed
    known = isinstance(kept, dict) and kept.get("id") == "a"
    assert done.results == ({"id": "a", "user": None, "language": "en-us"} if known else None)


@pytest.mark.process
def test_worker_processes_carry_it(use: UseMiddleware, start_workers: StartWorkers) -> None:
    use(RequestContext)
    with answering(REQUEST), translation.override("de"):
        say_request.enqueue()
        add.enqueue(1, 2)
    workers = start_workers("--burst", middleware=["pleme_redis_django.middleware.RequestContext"])
    assert workers.exit_code() == 0, workers.output()
    assert Job.objects.get(job_type=say_request.name).results == ["r-1", "7", "de"]
