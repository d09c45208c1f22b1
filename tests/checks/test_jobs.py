"""Checks of pools, job models and databases: what is wrong, said at start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import models
from django.test.utils import isolate_apps, override_settings

from pleme_redis_django.checks import jobs
from pleme_redis_django.models import AbstractJob, job_constraints, job_indexes

OTHER_MODEL = "workload.EmailJob"


class AnyExecutor:
    """Runs whatever it is given."""

    def execute(self, job: Any) -> None: ...


class NoExecutor:
    """Cannot run anything."""


def pleme_redis(**changes: Any) -> Any:
    return override_settings(PLEME_REDIS=django_settings.PLEME_REDIS | changes)


def ids(messages: Any) -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in messages]


def messages_of(check: Any, **settings: Any) -> list[CheckMessage]:
    with pleme_redis(**settings):
        return list(check())


def test_the_settings_of_the_suite_pass_every_check() -> None:
    assert not [
        message
        for check in (jobs.check_pools, jobs.check_queue_keys, jobs.check_job_models, jobs.check_database)
        for message in check()
    ]


BAD_POOLS = [
    ({"worker_cont": 3}, "Did you mean worker_count?"),
    ({"worker_count": -1}, "Accepted: a whole number from 0 to 1,000"),
    ({"preset": "fast"}, "Accepted: development, high_throughput, unreliable_network"),
    ({"model": "shop.Nothing"}, "Accepted: "),
    ({"model": "nothing"}, "Accepted: "),
    ({"model": "auth.User"}, "does not inherit from AbstractJob"),
    ({"executor": "shop.jobs.Nothing"}, "Accepted: the dotted path of a class"),
    ({"executor": 5}, "Accepted: the dotted path of a class"),
    ({"executor": f"{__name__}.NoExecutor"}, "which has no execute()"),
    ({"store": f"{__name__}.AnyExecutor"}, "which has no claim_next_job()"),
    ({"queues": "email"}, 'Accepted: a list of queue names, or ["*"]'),
    ({"product": "Not A Product"}, "product"),
]


@pytest.mark.parametrize(("pool", "said"), BAD_POOLS)
def test_a_bad_pool_is_an_error_that_says_what_is_accepted(pool: dict[str, Any], said: str) -> None:
    (message,) = messages_of(jobs.check_pools, POOLS={"mail": pool, "default": {}})
    assert ids([message]) == ["E020"]
    assert said in message.msg
    assert message.hint


@pytest.mark.django_db(databases=["default", "sqlite"])  # Django 6.1 asks the databases what JSON they know
@pytest.mark.parametrize(("pool", "said"), BAD_POOLS)
def test_runworkers_refuses_a_bad_pool_with_the_same_words(pool: dict[str, Any], said: str) -> None:
    with pleme_redis(POOLS={"mail": pool}):
        (message,) = jobs.check_pools()
        with pytest.raises(CommandError) as refused:
            call_command("runworkers")
        assert str(refused.value) == message.msg
        with pytest.raises(SystemCheckError, match="E020"):
            call_command("runworkers", skip_checks=False)


def test_a_pool_name_fits_the_row_of_its_workers() -> None:
    assert not messages_of(jobs.check_pools, POOLS={"p" * 64: {}})
    (message,) = messages_of(jobs.check_pools, POOLS={"p" * 65: {}})
    assert ids([message]) == ["E020"]
    assert "of 65 characters. Accepted: 1 to 64" in message.msg


def test_an_event_of_a_job_that_nobody_runs_is_a_warning() -> None:
    with pleme_redis(POOLS={"default": {}}, JOB_EVENTS=["*", "tests.workload.jobs.noop"]):
        assert not list(jobs.check_job_events())
    with pleme_redis(POOLS={"default": {}}, JOB_EVENTS=["tests.workload.jobs.nop"]):
        (message,) = jobs.check_job_events()
    assert ids([message]) == ["W030"]
    assert message.hint == "Did you mean tests.workload.jobs.noop?"


def test_runworkers_refuses_a_pool_that_is_not_in_the_settings() -> None:
    with pytest.raises(CommandError, match=r'has no pool "defualt"\. Did you mean default\?'):
        call_command("runworkers", "defualt")


def test_pools_of_different_models_need_different_queue_keys() -> None:
    pools = {"default": {"queue_key": "jobs"}, "mail": {"model": OTHER_MODEL, "queue_key": "jobs"}}
    (message,) = messages_of(jobs.check_queue_keys, POOLS=pools)
    assert ids([message]) == ["E021"]
    assert '"default"' in message.msg
    assert '"mail"' in message.msg


def test_models_have_different_queue_keys_unless_the_settings_say_otherwise() -> None:
    assert messages_of(jobs.check_queue_keys, POOLS={"default": {}, "mail": {"model": OTHER_MODEL}}) == []


def test_a_pool_that_no_enqueue_hints_to_is_a_warning() -> None:
    pools = {"default": {}, "second": {"queue_key": "others"}}
    assert ids(messages_of(jobs.check_queue_keys, POOLS=pools)) == ["W022"]


@pytest.mark.parametrize("settings", [{"URL": None}, {}])
def test_queue_keys_do_not_matter_to_pools_that_scan(settings: dict[str, Any]) -> None:
    second = {"queue_key": "others"} if settings else {"queue_key": "others", "product": "novaskyn"}
    assert messages_of(jobs.check_queue_keys, POOLS={"default": {}, "second": second}, **settings) == []


@pytest.fixture
def isolated_apps() -> Iterator[Apps]:
    """A registry that the models of one test go to."""
    with isolate_apps("tests.workload") as registry:
        yield registry


def test_a_job_model_with_a_bare_meta_lacks_its_indexes(isolated_apps: Apps) -> None:
    class BareJob(AbstractJob):
        class Meta:
            app_label = "workload"

    (message,) = jobs.check_job_models(isolated_apps.get_app_configs())
    assert ids([message]) == ["E023"]
    assert message.obj is BareJob
    assert 'the index "ready"' in message.msg
    assert 'the constraint "slot"' in message.msg


def test_a_job_model_may_add_indexes_and_rename_ours(isolated_apps: Apps) -> None:
    class RichJob(AbstractJob):
        class Meta(AbstractJob.Meta):
            app_label = "workload"
            indexes = [*job_indexes("rich_"), models.Index(fields=["created_at"], name="rich_created")]
            constraints = job_constraints("rich_")

    assert isolated_apps.get_model("workload", "RichJob") is RichJob
    assert list(jobs.check_job_models(isolated_apps.get_app_configs())) == []


def test_index_names_too_long_for_django_come_with_the_way_out(isolated_apps: Apps) -> None:
    class CatalogueOfMoviesImportJob(AbstractJob):
        class Meta(AbstractJob.Meta):
            app_label = "workload"

    (message,) = jobs.check_job_models(isolated_apps.get_app_configs())
    assert (ids([message]), message.obj) == (["E024"], CatalogueOfMoviesImportJob)
    assert 'job_indexes("workload_catalogueof_")' in str(message.hint)
    assert all(len(index.name) <= 30 for index in job_indexes("workload_catalogueof_"))


def test_the_database_of_the_jobs_has_to_exist() -> None:
    (message,) = messages_of(jobs.check_database, DATABASE="primary")
    assert ids([message]) == ["E025"]
    assert "default, sqlite" in message.msg


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, ["W026"]), ({"transaction_mode": "DEFERRED"}, ["W026"]), ({"transaction_mode": "immediate"}, [])],
)
def test_sqlite_needs_immediate_transactions(
    options: dict[str, str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(django_settings.DATABASES["sqlite"], "OPTIONS", options)
    assert ids(messages_of(jobs.check_database, DATABASE="sqlite")) == expected


@pytest.mark.parametrize(
    ("use_tz", "zone", "database", "expected"),
    [
        (False, "America/New_York", "sqlite", ["E033"]),
        (False, "UTC", "sqlite", []),
        (True, "America/New_York", "sqlite", []),
        (False, "America/New_York", "default", []),
    ],
)
def test_naive_times_on_sqlite_have_to_be_utc(
    use_tz: bool, zone: str, database: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_settings, "USE_TZ", use_tz)
    monkeypatch.setattr(django_settings, "TIME_ZONE", zone)
    found = ids(messages_of(jobs.check_database, DATABASE=database))
    assert [one for one in found if one.startswith("E")] == expected
