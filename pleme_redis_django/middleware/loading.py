"""Loading: from the dotted paths in ``PLEME_REDIS["MIDDLEWARE"]`` to checked instances, built once in a process."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.utils.module_loading import import_string

from pleme_redis_django.conf import SETTING_NAME, forget_on_change, get_settings
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.middleware.chain import Link

METHODS = {"enqueue": "request", "attempt": "context", "aattempt": "context"}
"""What a middleware may have, each with what it is given beside ``call_next``."""
_ACCEPTED = (
    "Accepted: the dotted path of a class that is built without arguments and has enqueue(call_next, request), "
    "attempt(call_next, context), or async def aattempt(call_next, context)."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMiddleware:
    """One entry of the setting; None where it has no such method."""

    path: str
    kind: type
    enqueue: Link | None
    attempt: Link | None
    """Around sync handlers."""
    aattempt: Link | None
    """Around async handlers."""


@cache
def loaded_middleware() -> tuple[LoadedMiddleware, ...]:
    """Return what the setting lists, outermost first. Raises InvalidSettings for the first that is refused."""
    paths = tuple(get_settings().middleware)
    return tuple(load(path, paths[:place]) for place, path in enumerate(paths))


def reads_metadata() -> bool:
    """Whether claims are to load metadata: a middleware of attempts reads them, unless its class says otherwise."""
    try:
        loaded = loaded_middleware()
    except InvalidSettings:
        return False  # Nothing runs with them; the checks say why.
    return any(getattr(one.kind, "reads_metadata", True) for one in loaded if one.attempt or one.aattempt)


def load(path: str, before: tuple[str, ...] = ()) -> LoadedMiddleware:
    """Return one entry of the setting; ``before``: those that stand before it. Raises InvalidSettings."""
    if path in before:
        raise _refused(path, "which it lists twice")
    try:
        kind = import_string(path)
    except ImportError as error:
        raise _refused(path, f"which cannot be imported: {error}") from error
    if not isinstance(kind, type):
        raise _refused(path, f"which is no class: {kind!r:.80}")
    try:
        instance = kind()
    except InvalidSettings:
        raise
    except Exception as error:
        raise _refused(path, f"which cannot be built: {type(error).__name__}: {error}") from error
    methods = {name: method for name in METHODS if (method := _method(path, instance, name)) is not None}
    if not methods:
        raise _refused(path, "which has none of the methods of a middleware")
    return _by_colour(path, kind, methods)


def _method(path: str, instance: object, name: str) -> Callable[..., Any] | None:
    method = getattr(instance, name, None)
    if method is None:
        return None
    taken = METHODS[name]
    try:
        inspect.signature(method).bind(object(), object())
    except (TypeError, ValueError) as error:
        raise _refused(
            path, f"whose {name} cannot be called as {name}(call_next, {taken}): {error}"
        ) from None
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise _refused(path, f"whose {name} is a generator: it has to return what call_next({taken}) returns")
    found: Callable[..., Any] = method
    return found


def _by_colour(path: str, kind: type, methods: dict[str, Callable[..., Any]]) -> LoadedMiddleware:
    links = {name: Link(f"{path}.{name}", method) for name, method in methods.items()}
    attempt, aattempt = links.get("attempt"), links.get("aattempt")
    if aattempt is not None and not iscoroutinefunction(aattempt.method):
        raise _refused(path, "whose aattempt is not async: write async def aattempt(call_next, context)")
    if attempt is not None and iscoroutinefunction(attempt.method):
        if aattempt is not None:
            raise _refused(path, "whose attempt and aattempt are both async: make attempt a plain def")
        attempt, aattempt = None, attempt
    return LoadedMiddleware(
        path=path, kind=kind, enqueue=links.get("enqueue"), attempt=attempt, aattempt=aattempt
    )


def _refused(path: str, why: str) -> InvalidSettings:
    return InvalidSettings(f'{SETTING_NAME}["MIDDLEWARE"] names "{path}", {why}. {_ACCEPTED}')


forget_on_change(loaded_middleware.cache_clear)
