"""django.tasks (DEP 14) on this package: tasks as jobs, with one setting in and one setting out.

    TASKS = {"default": {"BACKEND": "pleme_redis_django.tasks_backend.JobBackend"}}

No model is imported here: ``@task`` makes the backend while modules are still being imported. Names are
resolved on first use (PEP 562), because ``use`` is read by projects that have no tasks API at all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pleme_redis_django.tasks_backend.backend import JobBackend as JobBackend
    from pleme_redis_django.tasks_backend.job_task import JobTask as JobTask
    from pleme_redis_django.tasks_backend.task_options import job_options as job_options

_MODULE_OF = {"JobBackend": "backend", "JobTask": "job_task", "job_options": "task_options"}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
