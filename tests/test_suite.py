"""The suite's own ground: fresh databases on PostgreSQL and SQLite, an empty Redis, and their addresses."""

from __future__ import annotations

import ast
import re
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

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SOURCES = ("pleme_redis_django", "example_project", "tests", "docs", ".ci")
SILENCING = re.compile(
    r"# (type: ignore|noqa|pragma: no cover)(?:\[[\w, -]+\]|: [A-Z]+\d+(?:, [A-Z]+\d+)*)?(?: +[#-] (.+))?"
)


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
    """tests/waiting.py waits for conditions; a program that works or looks for a while has a name for that while.

    ``sleep(0)``, which gives an event loop its turn, waits for nothing.
    """
    sleeps = []
    for path in sorted(set(TESTS.rglob("*.py")) - {Path(__file__)}):
        text = path.read_text(encoding="utf-8")
        if "sleep" in text or "Event().wait" in text:
            found = _sleeps if path.name.startswith(("test_", "conftest")) else _unnamed_sleeps
            sleeps += [f"{path.relative_to(TESTS)}:{line}" for line in sorted(found(ast.parse(text)))]
    assert sleeps == []


@pytest.mark.parametrize(
    ("program", "is_found"),
    [
        ("time.sleep(LONG)", True),
        ("from time import sleep", True),
        ("Thread(target=time.sleep, args=(LONG,))", True),
        ("await asyncio.sleep(0.1)", True),
        ("threading.Event().wait(0.1)", True),
        ("program = 'import time; time.sleep(600)'", True),
        ("await asyncio.sleep(0)", False),
        ("seen.wait(5)", False),
    ],
)
def test_a_sleep_is_found_however_it_is_written(program: str, is_found: bool) -> None:
    tree = ast.parse(program.replace("await ", ""))
    assert bool(_sleeps(tree)) is is_found
    assert bool(_unnamed_sleeps(tree)) is (is_found and any(letter.isdigit() for letter in program))


def _sleeps(tree: ast.AST) -> set[int]:
    """Return the lines that name a sleep, as a call or as what another calls."""
    turns = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and _numbers(node) == [0]}
    named = {node.lineno for node in ast.walk(tree) if _is_sleep(node) and node not in turns}
    return named | _unnamed_sleeps(tree)


def _unnamed_sleeps(tree: ast.AST) -> set[int]:
    """Return the lines that sleep for a bare number, in programs that are texts too."""
    return {
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and _waits(node.func) and any(_numbers(node)))
        or (isinstance(node, ast.Constant) and re.search(r"sleep\([\d.]*[1-9]", str(node.value)))
    }


def _waits(called: ast.expr) -> bool:
    """Whether it is a sleep, or a wait for an event that nobody else knows."""
    return _is_sleep(called) or (
        isinstance(called, ast.Attribute) and ast.unparse(called).endswith("Event().wait")
    )


def _is_sleep(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute | ast.alias | ast.Name) and "sleep" in {
        getattr(node, "attr", ""),
        getattr(node, "name", ""),
        getattr(node, "id", ""),
    }


def _numbers(call: ast.Call) -> list[object]:
    return [argument.value for argument in call.args if isinstance(argument, ast.Constant)]


def test_every_mark_that_silences_a_check_says_why() -> None:
    """And there is none for mypy in the tests, which it does not read."""
    bare = []
    for path in sorted(each for folder in SOURCES for each in (ROOT / folder).rglob("*.py")):
        is_test = path.is_relative_to(TESTS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            marks = SILENCING.findall(line)
            if any(not reason or (is_test and mark.startswith("type")) for mark, reason in marks):
                bare.append(f"{path.relative_to(ROOT)}:{number}")
    assert bare == []
