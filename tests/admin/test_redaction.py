"""What the project's hook hides is on no page, in no file and behind no search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings

from pleme_redis_django.models import JobAttempt
from tests.admin.conftest import LIST, found_by
from tests.rows import make_attempt, make_failed_job, make_job
from tests.workload.models import EmailJob

pytestmark = pytest.mark.django_db

SECRET = "tok_4242"


def hide_secrets(job: Any, field: str, value: Any) -> Any:
    """Hide the secret in texts and below keys; the whole of a recipient."""
    if field == "recipient":
        return f"someone at {value.partition('@')[2]}"
    if isinstance(value, dict):
        return {key: hide_secrets(job, field, item) for key, item in value.items()}
    return value.replace(SECRET, "[hidden]") if isinstance(value, str) else value


def fail(_job: Any, _field: str, value: Any) -> Any:
    raise RuntimeError("the hook is broken")


def look_at_other_fields(job: Any, field: str, value: Any) -> Any:
    return {"seen": job.parameters, "type": job.job_type} if field == "results" else "gone"


def use(settings: Any, hook: Any) -> Any:
    return override_settings(PLEME_REDIS=settings.PLEME_REDIS | {"REDACT": f"{__name__}.{hook.__name__}"})


@pytest.fixture
def _hidden(settings: Any) -> Iterator[None]:
    with use(settings, hide_secrets):
        yield


@pytest.fixture
def job() -> Any:
    job = make_failed_job(
        parameters={"card": SECRET, "order": 7},
        results={"card": SECRET},
        configuration={"card": SECRET},
        metadata={"card": SECRET},
        progress={"done": 1, "total": 2, "note": SECRET},
        error_message=f"refused {SECRET}",
        error_details={"error_code": "refused", "card": SECRET},
    )
    make_attempt(job, message=f"refused {SECRET}", traceback="x" * 16_380 + SECRET)
    return job


@pytest.mark.usefixtures("_hidden")
def test_a_page_shows_what_the_hook_returns(admin_client: Client, job: Any) -> None:
    page = admin_client.get(f"{LIST}{job.pk}/change/").content.decode()
    assert SECRET not in page
    assert "tok_" not in page, "a text is redacted before it is cut"
    assert "[hidden]" in page
    assert "&quot;order&quot;: 7" in page


@pytest.mark.usefixtures("_hidden")
@pytest.mark.parametrize(
    "name", ["parameters", "results", "configuration", "metadata", "error_message", "error_details"]
)
def test_a_file_holds_what_the_hook_returns(admin_client: Client, job: Any, name: str) -> None:
    text = admin_client.get(f"{LIST}{job.pk}/part/{name}/").content.decode()
    assert SECRET not in text
    assert "[hidden]" in text


@pytest.mark.usefixtures("_hidden")
def test_attempts_show_what_the_hook_returns(admin_client: Client, job: Any) -> None:
    attempt = JobAttempt.objects.get()
    page = admin_client.get(f"/admin/pleme_redis_django/jobattempt/{attempt.pk}/change/").content.decode()
    assert SECRET not in page
    assert "refused [hidden]" in page
    job.delete()
    assert (
        SECRET
        not in admin_client.get(f"/admin/pleme_redis_django/jobattempt/{attempt.pk}/change/").content.decode()
    )


@pytest.mark.usefixtures("_hidden")
def test_fields_of_the_project_are_redacted_too(admin_client: Client) -> None:
    job = make_job(model=EmailJob, recipient="ann@example.com")
    page = admin_client.get(f"/admin/workload/emailjob/{job.pk}/change/").content.decode()
    assert "ann@example.com" not in page
    assert "someone at example.com" in page


@pytest.mark.usefixtures("_hidden")
def test_what_is_hidden_cannot_be_guessed_by_searching(admin_client: Client, job: Any) -> None:
    response = admin_client.get(LIST, {"q": f"param.card:{SECRET}"})
    assert "Parameters cannot be searched in this project" in response.content.decode()
    assert response.context["cl"].result_count == 0
    assert found_by(admin_client, "error:tok_4242") == set()
    assert found_by(admin_client, "error:refused") == {str(job.pk)}


@pytest.mark.parametrize(
    "lookup", ["parameters__card", "parameters__card__startswith", "error_message__contains"]
)
def test_an_address_cannot_look_into_what_no_filter_offers(
    admin_client: Client, job: Any, lookup: str
) -> None:
    assert admin_client.get(LIST, {lookup: SECRET}).status_code == 400


def test_a_hook_that_raises_shows_nothing(
    admin_client: Client, job: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with use(settings, fail):
        page = admin_client.get(f"{LIST}{job.pk}/change/").content.decode()
    assert SECRET not in page
    assert "(not shown: the redaction failed)" in page
    assert "failed for the field parameters of job" in caplog.text


def test_a_hook_is_asked_with_the_job_as_it_is(admin_client: Client, job: Any, settings: Any) -> None:
    with use(settings, look_at_other_fields):
        text = admin_client.get(f"{LIST}{job.pk}/part/results/").content.decode()
    assert SECRET in text
    assert "tests.noop" in text


@pytest.mark.usefixtures("_hidden")
def test_redaction_changes_no_row(admin_client: Client, job: Any) -> None:
    admin_client.get(f"{LIST}{job.pk}/change/")
    job.refresh_from_db()
    assert job.parameters == {"card": SECRET, "order": 7}


@pytest.mark.usefixtures("_hidden", "job")
@pytest.mark.parametrize("page", ["", "error/", "data.json"])
def test_causes_of_failures_are_redacted(admin_client: Client, page: str) -> None:
    text = admin_client.get("/admin/pleme_redis_django/dashboard/" + page).content.decode()
    assert "refused [hidden]" in text
    assert SECRET not in text
