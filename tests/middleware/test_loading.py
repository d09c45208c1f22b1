"""Loading of middleware: what is refused at the start, in what words, and by which check."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from pleme_redis_django.checks.middleware import check_middleware
from pleme_redis_django.configured_pools import configured_pool, executor_of
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.middleware.loading import loaded_middleware
from pleme_redis_django.models import Job
from pleme_redis_django.wiring import build_pool
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.workload.jobs import add

PATH = "tests.middleware.classes."


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("no.such.Middleware", "cannot be imported"),
        ("undotted", "cannot be imported"),
        (f"{PATH}Missing", "cannot be imported"),
        (f"{PATH}a_function", "which is no class"),
        (f"{PATH}SEEN", "which is no class"),
        (f"{PATH}NeedsArguments", "cannot be built: TypeError"),
        (f"{PATH}BreaksWhenBuilt", "cannot be built: LookupError: no such tenant"),
        (f"{PATH}HasNoMethod", "has none of the methods"),
        (f"{PATH}TakesOne", r"whose attempt cannot be called as attempt\(call_next, context\)"),
        (f"{PATH}IsAGenerator", "whose attempt is a generator"),
        (f"{PATH}SyncAattempt", "whose aattempt is not async"),
        (f"{PATH}TwiceAsync", "both async"),
    ],
)
def test_what_is_no_middleware_is_refused(settings: Any, path: str, why: str) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "MIDDLEWARE": [path]}
    with pytest.raises(InvalidSettings, match=why) as refused:
        loaded_middleware()
    assert path in str(refused.value) and "Accepted: the dotted path of a class" in str(refused.value)
    [found] = check_middleware()
    assert (found.id, found.msg) == ("pleme_redis_django.E003", str(refused.value))


@pytest.mark.parametrize(
    ("name", "package", "why"),
    [
        ("TenantSchema", "django_tenants", "pip install django-tenants"),
        ("EncryptedParameters", "cryptography", r"pleme-redis-django\[encryption\]"),
    ],
)
def test_one_whose_package_is_missing_says_what_to_install(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str, package: str, why: str
) -> None:
    for module in (package, f"{package}.utils", f"{package}.fernet"):
        monkeypatch.setitem(sys.modules, module, None)
    settings.PLEME_REDIS = {
        **settings.PLEME_REDIS,
        "MIDDLEWARE": [f"pleme_redis_django.middleware.{name}"],
        "ENCRYPTION": {"KEYS": ["A" * 43 + "="]},
    }
    [found] = check_middleware()
    assert found.id == "pleme_redis_django.E003"
    assert re.search(why, found.msg)


@pytest.mark.django_db
def test_an_enqueue_and_a_pool_refuse_it_too(settings: Any) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "MIDDLEWARE": ["no.such.Middleware"]}
    with pytest.raises(InvalidSettings, match=r"no\.such\.Middleware"):
        add.enqueue(1, 2)
    assert not Job.objects.exists()
    with pytest.raises(InvalidSettings, match=r"no\.such\.Middleware"):
        build_pool(configured_pool("default"))


def test_one_that_is_listed_twice_is_refused(use: UseMiddleware) -> None:
    use(classes.Nothing, classes.Outer, classes.Nothing)
    with pytest.raises(InvalidSettings, match="lists twice"):
        loaded_middleware()
    assert [found.id for found in check_middleware()] == ["pleme_redis_django.E003"]


@pytest.mark.parametrize("value", ["shop.jobs.Tenant", [1], [""], None, {"a": 1}])
def test_the_setting_is_a_list_of_paths(settings: Any, value: object) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "MIDDLEWARE": value}
    with pytest.raises(InvalidSettings, match="a list of non-empty strings"):
        loaded_middleware()


def test_a_sync_one_around_async_handlers_is_refused_naming_both(use: UseMiddleware) -> None:
    use(classes.Nothing, classes.SyncAlone)
    with pytest.raises(InvalidSettings, match=r"SyncAlone.*cannot surround async handlers: .*\w+\.\w+"):
        executor_of(configured_pool("default"))
    found = check_middleware()
    # The pool of the example's e-mails has sync handlers alone.
    [fault] = found
    assert fault.id == "pleme_redis_django.E004"
    assert fault.msg.startswith('Pool "default": ') and "Give it async def aattempt" in fault.msg


def test_an_async_one_around_sync_handlers_is_refused_naming_both(use: UseMiddleware) -> None:
    use(classes.AsyncAlone)
    with pytest.raises(InvalidSettings, match=r"AsyncAlone.*cannot surround sync handlers: "):
        executor_of(configured_pool("default"))
    assert {found.id for found in check_middleware()} == {"pleme_redis_django.E004"}


def test_right_ones_pass_the_checks_and_are_built_once(use: UseMiddleware) -> None:
    use(classes.Nothing, classes.Outer, classes.AsyncEnqueue)
    assert list(check_middleware()) == []
    assert loaded_middleware() is loaded_middleware()
    executor = executor_of(configured_pool("default"))
    assert executor is not executor_of(configured_pool("default"))
