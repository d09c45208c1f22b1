"""The registry: every definition by its name, and running a job by its type."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pleme_redis_django import InvalidParameters, job
from pleme_redis_django.exceptions import InvalidJobDefinition, UnknownJobType
from pleme_redis_django.jobs.definitions.declaring import definition_of
from pleme_redis_django.jobs.definitions.registry import JobRegistry, RegistryExecutor, registry
from pleme_redis_django.testing import MemoryJob
from tests.jobs.definitions.handlers import send, send_async


def test_job_registers_what_it_decorates() -> None:
    decorated = job(name="tests.registered", queue_name="email")(send_async)
    assert registry.get("tests.registered") is decorated
    assert decorated in list(registry)


def test_two_functions_of_one_name_are_refused() -> None:
    jobs = JobRegistry()
    jobs.add(definition_of(send, name="mail"))
    jobs.add(definition_of(send, name="mail"))
    with pytest.raises(InvalidJobDefinition, match=r'Two jobs are named "mail".*send_async'):
        jobs.add(definition_of(send_async, name="mail"))


SAME_NAME_TWICE = """
from pleme_redis_django.jobs.definitions.declaring import definition_of
def notify(): ...
jobs.add(definition_of(notify))
def notify(): ...
jobs.add(definition_of(notify))
"""


def test_two_functions_of_one_name_in_one_module_are_refused() -> None:
    with pytest.raises(InvalidJobDefinition, match=r"notify \(line 3\) and .*notify \(line 5\)"):
        exec(SAME_NAME_TWICE, {"__name__": "shop.jobs", "jobs": JobRegistry()})


def test_a_module_may_be_reloaded_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from pleme_redis_django import job\n@job\ndef changing(): ...\n"
    (tmp_path / "changing_jobs.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("changing_jobs")
    importlib.reload(module)
    (tmp_path / "changing_jobs.py").write_text("\n\n" + source)
    assert importlib.reload(module).changing.name == "changing_jobs.changing"


def test_an_unknown_option_is_told_with_the_nearest() -> None:
    with pytest.raises(
        InvalidJobDefinition, match=r"@job has no option 'max_retry'. Did you mean max_retries"
    ):
        job(max_retry=3)(send_async)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    jobs = JobRegistry()
    jobs.add(definition_of(send, name="shop.jobs.send"))
    with pytest.raises(UnknownJobType, match=r"Did you mean shop\.jobs\.send\?"):
        jobs.get("shop.jobs.sned")
    with pytest.raises(UnknownJobType, match="Is its module imported"):
        jobs.get("x" * 10_000)


@pytest.fixture
def executor() -> RegistryExecutor:
    jobs = JobRegistry()
    for function in (send, send_async):
        jobs.add(definition_of(function, name=function.__name__, retry_on=[KeyError], no_retry_on=[OSError]))
    return RegistryExecutor(jobs)


def test_the_executor_calls_the_handler_that_the_type_names(executor: RegistryExecutor) -> None:
    found = executor.execute(MemoryJob(job_type="send", parameters={"to": "a@b", "user_name": "Alice"}))
    assert found == "Hello Alice <a@b>"
    assert (executor.sync_job_types(), executor.async_job_types()) == ({"send"}, {"send_async"})
    assert executor.retry_rules("send") == ((KeyError,), (OSError,))


def test_parameters_that_no_longer_fit_are_invalid(executor: RegistryExecutor) -> None:
    with pytest.raises(InvalidParameters, match="unknown"):
        executor.execute(MemoryJob(job_type="send", parameters={"to": "a", "user_name": "b", "old": 1}))


def test_an_unknown_type_has_no_rules_of_its_own(executor: RegistryExecutor) -> None:
    with pytest.raises(UnknownJobType):
        executor.execute(MemoryJob(job_type="gone"))
    assert executor.retry_rules("gone") == ((), ())
