"""The suite's own ground: fresh databases on PostgreSQL and SQLite, an empty Redis, and their addresses."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections

from pleme_redis_django.redis_state.server.redis_call import redis_client


@pytest.mark.django_db(databases=["default", "sqlite"])
@pytest.mark.parametrize(("alias", "vendor"), [("default", "postgresql"), ("sqlite", "sqlite")])
def test_both_backends_have_the_tables(alias: str, vendor: str) -> None:
    Group.objects.using(alias).create(name="editors")
    assert Group.objects.using(alias).count() == 1
    assert connections[alias].vendor == vendor


@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
@pytest.mark.parametrize("alias", ["default", "sqlite"])
def test_a_flush_empties_every_table_but_those_that_migrations_fill(alias: str) -> None:
    kept = {model: model._default_manager.using(alias).count() for model in (ContentType, Permission)}
    assert all(kept.values())
    user = User.objects.using(alias).create(username="kim")
    user.groups.add(group := Group.objects.using(alias).create(name="editors"))
    group.permissions.add(Permission.objects.using(alias).first())
    call_command("flush", interactive=False, verbosity=0, database=alias)
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    left = {model: model._base_manager.using(alias).count() for model in models}
    assert {model: count for model, count in left.items() if count} == kept


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
    """It does not import pytest, which would be a seventh of what it takes to start each of hundreds."""
    Group.objects.using(alias).create(name="editors")
    redis_client().set("word", "hint")
    program = (
        "import sys, django; django.setup()\n"
        "from django.contrib.auth.models import Group\n"
        "from pleme_redis_django.redis_state.server.redis_call import redis_client\n"
        f"print(Group.objects.using({alias!r}).get().name, redis_client().get('word').decode())\n"
        "assert 'pytest' not in sys.modules\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], env=process_environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "editors hint\n"


def test_no_test_waits_by_sleeping() -> None:
    """tests/waiting.py waits for conditions. ``sleep(0)``, which gives an event loop its turn, waits for nothing."""
    sleeps = []
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        if "sleep(" in (text := path.read_text(encoding="utf-8")):
            sleeps += [f"{path.name}:{call.lineno}" for call in ast.walk(ast.parse(text)) if _sleeps(call)]
    assert sleeps == []


def _sleeps(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    given = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name == "sleep" and given != [0]
