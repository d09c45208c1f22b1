"""``@cached`` for functions, coroutine functions and Django views of both kinds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack, cast

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from pleme_redis_django.exceptions import InvalidName, UncacheableValue
from pleme_redis_django.redis_state.cache import codec, responses
from pleme_redis_django.redis_state.cache.limits import BuildOptions
from pleme_redis_django.redis_state.cache.manager import CacheManager
from pleme_redis_django.redis_state.cache.watched_requests import watched
from pleme_redis_django.redis_state.server.keyspace import digest

P = ParamSpec("P")
R = TypeVar("R")
Key = str | Callable[..., str] | None


def cached(
    timeout: object = DEFAULT_TIMEOUT,
    key: Key = None,
    *,
    product: str | None = None,
    alias: str | None = None,
    **options: Unpack[BuildOptions],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that keeps a function's results for ``timeout`` seconds.

    ``key`` is a function of the arguments; or a text, which stands for the function's name beside a
    digest of the arguments; left out, it is that name. ``options`` are those of
    ``CacheManager.get_or_set``: tags, grace, none_timeout, beta, build_seconds, wait_seconds.

    A function whose first argument is a request is a view: GET responses with status 200 are kept,
    under host, full path, language and time zone unless ``key`` is a function. Without one, a response
    that depends on the visitor is never kept (the view read ``request.user``, session, cookies or
    headers; CSRF token, any ``Vary``, ``Cache-Control: private``), and a request with an
    ``Authorization`` header is neither answered from the cache nor kept.

    Raises InvalidName for a lambda, a closure or another function without a name of its own, unless it
    has a ``key`` or is a view.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if not _may_be_view(function):
            _name_of(function, key)
        # Made for each call: that is cheap, and correct after the settings have changed, as in tests.
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
    options: BuildOptions,
) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        request = _request_of(args)
        if request is not None and not _is_cacheable(request, key):
            return function(*args, **kwargs)

        def build_page() -> Any:
            assert request is not None
            with watched(request) as reading:
                response = responses.rendered(cast("Any", function(*args, **kwargs)))
            return responses.to_value(response, request, None if callable(key) else reading)

        def build() -> Any:
            return function(*args, **kwargs)

        name = _key_of(function, key, request, args, kwargs)
        if request is None:
            return manager().get_or_set(name, build, timeout, **options)
        return responses.to_response(manager().get_or_set(name, build_page, timeout, **options))

    return cast("Callable[P, R]", wrapper)


def _async_cached(
    function: Callable[..., Any],
    key: Key,
    timeout: object,
    manager: Callable[[], CacheManager],
    options: BuildOptions,
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        request = _request_of(args)
        if request is not None and not _is_cacheable(request, key):
            return await function(*args, **kwargs)

        async def build_page() -> Any:
            assert request is not None
            with watched(request) as reading:
                response = responses.rendered(await function(*args, **kwargs))
            return responses.to_value(response, request, None if callable(key) else reading)

        async def build() -> Any:
            return await function(*args, **kwargs)

        name = _key_of(function, key, request, args, kwargs)
        if request is None:
            return await manager().aget_or_set(name, build, timeout, **options)
        return responses.to_response(await manager().aget_or_set(name, build_page, timeout, **options))

    return wrapper


def _request_of(args: tuple[Any, ...]) -> HttpRequest | None:
    return args[0] if args and isinstance(args[0], HttpRequest) else None


def _is_cacheable(request: HttpRequest, key: Key) -> bool:
    return request.method == "GET" if callable(key) else responses.may_be_shared(request)


def _key_of(
    function: Callable[..., Any],
    key: Key,
    request: HttpRequest | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str:
    if callable(key):
        return key(*args, **kwargs)
    if request is not None:
        return f"{key or _path_of(function)}:{digest(_page_of(request))}"
    name = _name_of(function, key)
    try:
        text, _ = codec.encode([list(args), sorted(kwargs.items())])
    except UncacheableValue as error:
        raise InvalidName(
            f"The arguments of {name} cannot be made into a key: {error} Give @cached a key that is a function of them."
        ) from error
    return f"{name}:{digest(text.decode())}"


def _page_of(request: HttpRequest) -> str:
    """Return what distinguishes one page from another, for any visitor, as Django's own cache does in its key."""
    address = f"{request.scheme}://{request.get_host()}{request.get_full_path()}"
    return f"{address} {get_language()} {get_current_timezone_name()}"


def _path_of(function: Callable[..., Any]) -> str:
    qualified_name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{qualified_name}"


def _may_be_view(function: Callable[..., Any]) -> bool:
    """Return whether a function looks like a view, whose pages differ by their address."""
    if hasattr(function, "view_class"):
        return True
    try:
        first = list(inspect.signature(function).parameters)[:2]
    except (TypeError, ValueError):  # a builtin may have no signature
        return False
    return first[:1] == ["request"] or first == ["self", "request"]


def _name_of(function: Callable[..., Any], key: Key) -> str:
    """Return the name for a function's entries; two closures or lambdas would share a name and answers."""
    if key is not None:
        return str(key)
    qualified_name = getattr(function, "__qualname__", "<lambda>")
    if "<locals>" in qualified_name or "<lambda>" in qualified_name:
        raise InvalidName(
            f"@cached names entries by their function, and {_path_of(function)} has no name of its own: another "
            'function of the same name would get its values. Give it a key, as in @cached(300, key="prices"), '
            "or move it to the top level of its module."
        )
    return _path_of(function)
