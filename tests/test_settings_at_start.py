"""What a project hears of wrong settings at start: one line from a command, an exception in a server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from pleme_redis_django.conf import build_settings
from pleme_redis_django.exceptions import InvalidSettings

pytestmark = pytest.mark.process

TYPO = {"PLEME_REDIS_OVERRIDES": '{"URl": null}'}
SAID = 'PLEME_REDIS has the unknown key "URl". Did you mean URL?'


@pytest.fixture
def environment(process_environment: Mapping[str, str]) -> dict[str, str]:
    return {**process_environment, "PYTHONPATH": "."}


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command", [["check"], ["check", "--deploy"], ["runworkers"], ["jobstats"], ["migrate", "--plan"]]
)
def test_a_typo_is_one_line_of_every_command(environment: dict[str, str], command: list[str]) -> None:
    ended = run({**environment, **TYPO}, "-m", "django", *command)
    assert ended.returncode == 1
    assert "pleme_redis_django.E001" in ended.stderr
    assert SAID in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["runworkers", "jobstats"])
def test_a_typo_is_one_line_without_the_checks_too(environment: dict[str, str], command: str) -> None:
    ended = run({**environment, **TYPO}, "-m", "django", command, "--skip-checks")
    assert ended.returncode != 0
    assert ended.stderr == f"CommandError: {SAID}\n"


def test_a_message_in_a_message_has_one_full_stop() -> None:
    with pytest.raises(InvalidSettings) as refused:
        build_settings({"PRODUCT": "Not A Product"})
    assert ".." not in str(refused.value)


@pytest.mark.django_db
def test_a_typo_stops_a_server(environment: dict[str, str]) -> None:
    ended = run({**environment, **TYPO}, "-c", "import django; django.setup()")
    assert ended.returncode == 1
    assert f"InvalidSettings: {SAID}" in ended.stderr


@pytest.mark.django_db
def test_an_app_that_is_not_installed_is_said_so(environment: dict[str, str]) -> None:
    program = """
from django.conf import settings
import django
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes"])
django.setup()
from pleme_redis_django import Job
"""
    ended = run(environment, "-c", program)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: Job needs the tables of pleme_redis_django: "
        'add "pleme_redis_django" to INSTALLED_APPS, and run manage.py migrate.'
    )
