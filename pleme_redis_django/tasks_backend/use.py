"""Whether TASKS names this backend, and what has to happen at start when it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import autodiscover_modules, import_string

OWN_PATH = "pleme_redis_django.tasks_backend."
_BACKENDS_OF_THE_API = ("django.tasks.", "django_tasks.")


def begin() -> None:
    """Find every installed app's tasks.py, and have the checks of TASKS speak, if TASKS names this backend.

    Django registers those checks when something first imports ``django.tasks``, so that a project whose
    tasks were not imported yet heard nothing from them.
    """
    if is_used() and has_api():
        from pleme_redis_django.tasks_backend import api

        assert api.checks is not None
        autodiscover_modules("tasks")


def is_used() -> bool:
    """Whether an alias of TASKS names this backend, or a subclass of it."""
    return any(_is_ours(path) for path in _backend_paths())


def has_api() -> bool:
    """Whether there is a ``django.tasks``, or else its backport."""
    return find_spec("django.tasks") is not None or find_spec("django_tasks") is not None


def _backend_paths() -> Iterator[str]:
    aliases: Any = getattr(django_settings, "TASKS", None)
    for entry in aliases.values() if isinstance(aliases, Mapping) else ():
        path = entry.get("BACKEND") if isinstance(entry, Mapping) else None
        if isinstance(path, str):
            yield path


def _is_ours(path: str) -> bool:
    if path.startswith(OWN_PATH):
        return True
    if path.startswith(_BACKENDS_OF_THE_API) or not has_api():
        return False
    try:
        backend = import_string(path)
    except ImportError:
        return False  # The tasks API says so wherever the alias is used.
    # By its name, so that a project without this backend does not import it for the question.
    return isinstance(backend, type) and any(base.__module__.startswith(OWN_PATH) for base in backend.__mro__)
