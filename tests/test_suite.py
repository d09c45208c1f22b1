"""The suite's own ground: fresh databases on PostgreSQL and SQLite, an empty Redis, and their addresses."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connections

from pleme_redis_django.redis_state.server.redis_call import redis_client


@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.parametrize(("alias", "vendor"), [("default", "postgresql"), ("sqlite", "sqlite")])
def test_both_backends_have_the_tables(alias: str, vendor: str) -> None:
    Group.objects.using(alias).create(name="editors")
    assert Group.objects.using(alias).count() == 1
    assert connections[alias].vendor == vendor


@pytest.mark.parametrize("attempt", [1, 2])
def test_redis_and_the_cache_are_empty_at_the_start_of_every_test(attempt: int) -> None:
    assert redis_client().keys() == []
    assert cache.get("word") is None
    redis_client().set("word", attempt)
    cache.set("word", attempt)
    assert cache.get("word") == attempt


@pytest.mark.process
@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
@pytest.mark.parametrize("alias", ["default", "sqlite"])
def test_a_subprocess_sees_what_a_test_has_committed(alias: str, process_environment: dict[str, str]) -> None:
    Group.objects.using(alias).create(name="editors")
    redis_client().set("word", "hint")
    program = (
        "import django; django.setup()\n"
        "from django.contrib.auth.models import Group\n"
        "from pleme_redis_django.redis_state.server.connections import redis_client\n"
        f"print(Group.objects.using({alias!r}).get().name, redis_client().get('word').decode())\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], env=process_environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "editors hint\n"
