"""Projects of their own: checks that speak though nothing imports django.tasks, and tasks that workers find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = """
INSTALLED_APPS = %s
SECRET_KEY = "x"
USE_TZ = True
OPTIONS = {"transaction_mode": "IMMEDIATE"}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": OPTIONS}}
PLEME_REDIS = {"URL": None, "PRODUCT": "default"}
TASKS = {"default": {"BACKEND": "%s", "OPTIONS": %s}}
"""
BACKEND = "pleme_redis_django.tasks_backend.JobBackend"


def run(
    folder: Path,
    code: str,
    *,
    backend: str = BACKEND,
    options: str = "{}",
    tasks: str = "",
    models: str = "",
    apps: str = '["pleme_redis_django", "shop"]',
) -> str:
    (folder / "project_settings.py").write_text(SETTINGS % (apps, backend, options))
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "tasks.py").write_text(tasks)
    (folder / "shop" / "models.py").write_text(models)
    here = Path(__file__).parents[2]
    start = "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'project_settings'\n"
    start += f"sys.path[:0] = [{str(folder)!r}, {str(here)!r}]\nimport django; django.setup()\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


IDS = (
    "from django.core.checks import run_checks; import json; print(json.dumps([one.id for one in run_checks() if "
    "'TASKS' in one.msg]))"
)


def test_checks_speak_though_nothing_imports_the_tasks_api(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, IDS, options='{"POOOL": 1}')) == ["pleme_redis_django.E034"]


def test_right_settings_are_silent(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, IDS, options='{"POOL": "default"}')) == []


TASKS = """
from pleme_redis_django.tasks_backend.api import task

@task
def send(to): pass
"""
KNOWN = """
from pleme_redis_django.jobs.definitions.registry import registry
print(registry.find("shop.tasks.send") is None)
"""


def test_tasks_of_every_app_are_found(tmp_path: Path) -> None:
    assert run(tmp_path, KNOWN, tasks=TASKS) == "False"


def test_subclass_of_the_backend_is_used_too(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from pleme_redis_django.tasks_backend import JobBackend\nclass Own(JobBackend):\n    pass\n"
    )
    assert run(tmp_path, KNOWN, backend="own.Own", tasks=TASKS) == "False"


@pytest.mark.parametrize("backend", ["dummy.DummyBackend", "immediate.ImmediateBackend"])
def test_tasks_of_another_backend_are_left_alone(tmp_path: Path, backend: str) -> None:
    from pleme_redis_django.tasks_backend.api import BaseTaskBackend

    package = BaseTaskBackend.__module__.removesuffix(".base")
    assert run(tmp_path, f"import shop.tasks\n{KNOWN}", backend=f"{package}.{backend}", tasks=TASKS) == "True"


def test_project_with_a_backend_of_its_own_does_not_import_this_one(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from pleme_redis_django.tasks_backend.api import BaseTaskBackend\nclass Own(BaseTaskBackend):\n    pass\n"
    )
    code = "print('pleme_redis_django.tasks_backend.backend' in sys.modules)"
    assert run(tmp_path, code, backend="own.Own") == "False"


def test_backend_is_made_before_models_can_be_imported(tmp_path: Path) -> None:
    # An app in front of this package: its models, and so its tasks, are imported before Job is.
    assert (
        run(tmp_path, KNOWN, tasks=TASKS, models="import shop.tasks\n", apps='["shop", "pleme_redis_django"]')
        == "False"
    )
