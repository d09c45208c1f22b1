"""``@cached`` for functions, coroutine functions and Django views of both kinds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.http import HttpRequest

from pleme_redis_django.exceptions import InvalidName, UncacheableValue
from pleme_redis_django.redis_state.cache import codec, responses
from pleme_redis_django.redis_state.cache.manager import CacheManager
from pleme_redis_django.redis_state.keyspace import digest

P = ParamSpec("P")
R = TypeVar("R")
Key = str | Callable[..., str] | None


def cached(
    timeout: object = DEFAULT_TIMEOUT,
    key: Key = None,
    *,
    product: str | None = None,
    alias: str | None = None,
    **options: Any,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that keeps a function's results for ``timeout`` seconds.

    ``key`` is a function of the arguments; or a text, which stands for the function's name beside a
    digest of the arguments; left out, it is that name. ``options`` are those of
    ``CacheManager.get_or_set``: tags, grace, none_timeout, beta, build_seconds, wait_seconds.

    A function whose first argument is a request is a view: GET responses with status 200 are kept,
    under host and full path unless ``key`` is a function. A response that depends on the visitor
    (cookies, session, CSRF token, ``Vary``, ``Cache-Control: private``) is never kept without one.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        # Made for each call: cheap, and right after the settings changed, as they do in tests.
        manager = functools.partial(CacheManager, product, alias=alias)
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", _async_cached(function, key, timeout, manager, options))
        return _sync_cached(function, key, timeout, manager, options)

    return decorate


def _sync_cached(
    function: Callable[P, R],
    key: Key,
    timeout: object,
    manager: Callable[[], CacheManager],
    options: dict[str, Any],
) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        request = _request_of(args)
        if request is not None and request.method != "GET":
            return function(*args, **kwargs)

        def build() -> Any:
            result: Any = function(*args, **kwargs)
            return (
                result if request is None else responses.to_value(result, request, shared=not callable(key))
            )

        value = manager().get_or_set(_key_of(function, key, request, args, kwargs), build, timeout, **options)
        return value if request is None else responses.to_response(value)

    return cast("Callable[P, R]", wrapper)


def _async_cached(
    function: Callable[..., Any],
    key: Key,
    timeout: object,
    manager: Callable[[], CacheManager],
    options: dict[str, Any],
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        request = _request_of(args)
        if request is not None and request.method != "GET":
            return await function(*args, **kwargs)

        async def build() -> Any:
            result = await function(*args, **kwargs)
            return (
                result if request is None else responses.to_value(result, request, shared=not callable(key))
            )

        name = _key_of(function, key, request, args, kwargs)
        value = await manager().aget_or_set(name, build, timeout, **options)
        return value if request is None else responses.to_response(value)

    return wrapper


def _request_of(args: tuple[Any, ...]) -> HttpRequest | None:
    return args[0] if args and isinstance(args[0], HttpRequest) else None


def _key_of(
    function: Callable[..., Any],
    key: Key,
    request: HttpRequest | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str:
    if callable(key):
        return key(*args, **kwargs)
    name = key or f"{function.__module__}.{function.__qualname__}"
    if request is not None:
        return f"{name}:{digest(f'{request.scheme}://{request.get_host()}{request.get_full_path()}')}"
    try:
        text, _ = codec.encode([list(args), sorted(kwargs.items())])
    except UncacheableValue as error:
        raise InvalidName(
            f"The arguments of {name} make no key: {error} Give @cached a key that is a function of them."
        ) from error
    return f"{name}:{digest(text.decode())}"
