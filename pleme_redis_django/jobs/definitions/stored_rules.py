"""Retry rules that a row keeps: a function and exception classes by their dotted paths.

A path in a row is never more than a name. Of exception classes the names of what was raised are compared with it, so
that nothing is imported; a function is looked up in the packages that have jobs alone, and has to be defined there.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from pleme_redis_django.exceptions import EnqueueError

RetryDelay = Callable[[int, BaseException], float]

_ACCEPTED_FUNCTION = (
    "Accepted: a plain function of a module, or its dotted path, which takes the retry's number and the exception and "
    "returns seconds. A row keeps its path, and a lambda, a method or a function within a function has none"
)
_ACCEPTED_ERRORS = (
    "Accepted: exception classes that can be imported, or their dotted paths, alone or in a list"
)


def path_of_retry_delay(value: object, packages: Collection[str]) -> str:
    """Return what a row keeps of a function; ``packages``: those that have jobs. Raises EnqueueError."""
    function: Any = value
    if isinstance(value, str):
        function = _imported_function(value)
    if not _is_plain_function(function) or _found(function) is not function:
        raise EnqueueError(f"retry_delay is {value!r:.120}. {_ACCEPTED_FUNCTION}.")
    path = f"{function.__module__}.{function.__qualname__}"
    if _package_of(path) not in packages:
        raise EnqueueError(
            f"retry_delay is {path}, and no job is of the package {_package_of(path)}: by the word of a row, a "
            f"worker calls functions of such packages alone. Accepted: {', '.join(sorted(packages))}; in @job and in "
            "a pool any."
        )
    return path


def function_at(path: str, packages: Collection[str]) -> RetryDelay | None:
    """Return the function that a row names; None: this code has none there that a row may name."""
    if _package_of(path) not in packages:
        return None
    try:
        function = _imported_function(path)
    except EnqueueError:
        return None
    if not _is_plain_function(function) or path != f"{function.__module__}.{function.__qualname__}":
        return None
    rule: RetryDelay = function
    return rule


def paths_of_errors(name: str, value: object) -> list[str]:
    """Return what a row keeps of exception classes. Raises EnqueueError for what cannot be imported, or is no such."""
    listed = list(value) if isinstance(value, Iterable) and not isinstance(value, str | type) else [value]
    classes: list[Any] = [error_class_at(one) if isinstance(one, str) else one for one in listed]
    for said, kind in zip(listed, classes, strict=True):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)) or _found(kind) is not kind:
            raise EnqueueError(f"{name} has {said!r:.120}. {_ACCEPTED_ERRORS}.")
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in classes]


def error_class_at(path: str) -> object:
    """Return what a dotted path names, also in a class; None: nothing. A name without a dot is Python's own."""
    parts = path.split(".")
    if len(parts) == 1:
        return getattr(builtins, path, None)
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except (ImportError, ValueError):
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found
    return None


def _imported_function(path: str) -> Any:
    module, _dot, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (AttributeError, ImportError, ValueError) as error:
        raise EnqueueError(
            f"retry_delay is {path!r:.200}, which cannot be imported: {error}. {_ACCEPTED_FUNCTION}."
        ) from None


def _is_plain_function(value: Any) -> bool:
    return (
        inspect.isfunction(value) and "." not in value.__qualname__ and not inspect.iscoroutinefunction(value)
    )


def _found(value: Any) -> Any:
    """Return what is where a function or a class says that it is."""
    found: Any = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _package_of(path: str) -> str:
    return path.partition(".")[0]
