"""Rewrite both suites so that they name JobBackend, run them on a real PostgreSQL, and write what became of each test.

    run.py FOLDER DJANGO_SDIST DJANGO_TASKS_DB_SDIST

Runs in the environment of one Django. The stand-ins take the places of the backends, rows and worker that the suites
were written for; their assertions stay as they are, but for how many queries another worker needs.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import unittest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

STAND_INS = Path(__file__).resolve().parent / "stand_ins"
DJANGO_SUITES = ("test_tasks", "test_dummy_backend", "test_immediate_backend")
# Of django-tasks-db: the others are about its own table, commands and processes.
DATABASE_CLASSES = ("DatabaseBackendTestCase", "DatabaseBackendWorkerTestCase")
BACKENDS = {"dummy": "RecordingBackend", "immediate": "RunningBackend"}
HAS_TASKS = find_spec("django.tasks") is not None


def main(folder: Path, django: Path, tasks_db: Path) -> None:
    write_suites(folder, django / "tests" / "tasks", tasks_db / "tests" / "tests.py")
    sys.path[:0] = [str(folder), str(STAND_INS)]
    from pleme_redis_django.testing.servers import BackingServices

    with BackingServices(durable=False) as services:
        set_up(services)
        outcomes = run_tests()
    (folder / "results.json").write_text(json.dumps(outcomes, indent=1, sort_keys=True))


def write_suites(folder: Path, tasks: Path, database_suite: Path) -> None:
    """Copy the suites into packages of their own names, ``tasks`` and ``tests``, with other backends."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in ("tasks", "tests"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
        (folder / package / "tasks.py").write_text(with_api((tasks / "tasks.py").read_text()))
    for name in DJANGO_SUITES:
        (folder / "tasks" / f"{name}.py").write_text(with_backends(name, (tasks / f"{name}.py").read_text()))
    # The sdist of django-tasks-db lacks its own tasks, which are these but for a capital.
    own = folder / "tests" / "tasks.py"
    own.write_text(own.read_text().replace("This Task failed", "This task failed"))
    text = database_suite.read_text()
    text = re.sub(r"self\.assertNumQueries\(\d+ if connection.*?\)", "contextlib.nullcontext()", text)
    (folder / "tests" / "tests.py").write_text(text)


def with_backends(name: str, text: str) -> str:
    """Return a suite of Django with the stand-in of the backend that it is about, and a database."""
    of_suite = "immediate" if name == "test_immediate_backend" else "dummy"
    kind = of_suite.title() + "Backend"
    text = text.replace(f"django.tasks.backends.{of_suite}.{kind}", f"suite_backends.{BACKENDS[of_suite]}")
    text = text.replace(
        f"from django.tasks.backends.{of_suite} import {kind}",
        f"from suite_backends import {BACKENDS[of_suite]} as {kind}",
    )
    return with_api(text.replace("SimpleTestCase", "TestCase").replace("    available_apps = []\n", ""))


def with_api(text: str) -> str:
    """Return the text with the names of the API that is there: Django's, or the backport's."""
    if HAS_TASKS:
        return text
    text = text.replace("from django.tasks.exceptions import", "from backport_exceptions import")
    return text.replace("django.tasks", "django_tasks")


def set_up(services: Any) -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="suites",  # noqa: S106 - of a test run
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "pleme_redis_django",
            "django_tasks_db",
        ],
        PLEME_REDIS={"URL": None, "POOLS": {"default": {"max_retries": 0}}},
        DATABASES={"default": services.database_settings()},
        TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "queue-1"]}},
    )
    django.setup()


class Outcomes(unittest.TextTestResult):
    """Keeps what became of each test; a failed part fails the whole."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.outcomes: dict[str, str] = {}

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        bad = {each.id().split(" ")[0] for each, _ in (*self.failures, *self.errors)}
        skipped = {each.id() for each, _ in self.skipped}
        name = test.id()
        self.outcomes[name] = "failed" if name in bad else "skipped" if name in skipped else "passed"
        super().stopTest(test)


def run_tests() -> dict[str, str]:
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=1, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    # Each module of its own: a task has the options of the settings under which it is imported.
    names = [f"tasks.{name}" for name in DJANGO_SUITES] + [f"tests.tests.{name}" for name in DATABASE_CLASSES]
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(resultclass=Outcomes, verbosity=2).run(suite)
    runner.teardown_databases(databases)
    assert isinstance(result, Outcomes)
    return result.outcomes


if __name__ == "__main__":
    main(*(Path(each) for each in sys.argv[1:4]))
