"""Templates of definitions: kept while the definition, the product and the settings are the same."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django.enqueueing import templates as module
from pleme_redis_django.enqueueing.rows import new_row
from pleme_redis_django.enqueueing.templates import Templates
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.new_rows import jobs_of
from tests.enqueueing.jobs import bounded, send


def test_a_template_is_made_once_for_a_definition_and_a_product(settings: Any) -> None:
    templates = Templates()
    first = templates.of(send)
    assert templates.of(send) is first
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "PRODUCT": "lilith"}
    other = templates.of(send)
    assert (other.product, first.product) == ("lilith", "default")
    assert templates.of(send) is other


def test_other_settings_make_another_template(settings: Any) -> None:
    templates = Templates()
    unsaid = definition_of(send.function, name="unsaid")
    assert templates.of(unsaid).max_retries == 3
    pools = {"default": {"max_retries": 9, "deadline": 60}}
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "POOLS": pools}
    template = templates.of(unsaid)
    assert (template.max_retries, template.expires_in_seconds) == (9, 60)


def test_a_reloaded_definition_makes_another_template() -> None:
    templates = Templates()
    assert templates.of(definition_of(send.function, name="a", priority=1)).priority == 1
    assert templates.of(definition_of(send.function, name="a", priority=2)).priority == 2


def test_what_using_returns_is_not_kept() -> None:
    templates = Templates()
    options = send.using(priority=9)
    assert templates.of(options) is not templates.of(options)
    assert templates.of(send).priority == 2


def test_so_many_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    templates = Templates()
    for number in range(10):
        templates.of(definition_of(send.function, name=f"job{number}"))
        assert len(templates._kept) <= 3


def test_a_job_that_is_changed_changes_no_later_job() -> None:
    templates = Templates()

    def one() -> Job:
        template = templates.of(bounded)
        (job,) = jobs_of(Job, "default", template, [new_row(template, {"key": 1})])
        return job

    configuration = one().configuration
    assert configuration
    configuration.clear()
    assert one().configuration
