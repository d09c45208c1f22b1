"""Job middleware: what ``PLEME_REDIS["MIDDLEWARE"]`` lists, around each enqueue and each attempt; and those that ship.

Its names are resolved on first use, so that a project without encryption does not import what that needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pleme_redis_django.middleware.encryption.job_middleware import (
        EncryptedParameters as EncryptedParameters,
    )
    from pleme_redis_django.middleware.encryption.reading import decrypted_parameters as decrypted_parameters
    from pleme_redis_django.middleware.encryption.reading import decrypted_results as decrypted_results
    from pleme_redis_django.middleware.request import EnqueueRequest as EnqueueRequest
    from pleme_redis_django.middleware.request_context.facts import current_request as current_request
    from pleme_redis_django.middleware.request_context.http_middleware import (
        RequestContextMiddleware as RequestContextMiddleware,
    )
    from pleme_redis_django.middleware.request_context.job_middleware import RequestContext as RequestContext
    from pleme_redis_django.middleware.request_context.log_filter import (
        RequestContextFilter as RequestContextFilter,
    )
    from pleme_redis_django.middleware.tenant_schema import TenantSchema as TenantSchema

_MODULE_OF = {
    "EncryptedParameters": "encryption.job_middleware",
    "EnqueueRequest": "request",
    "RequestContext": "request_context.job_middleware",
    "RequestContextFilter": "request_context.log_filter",
    "RequestContextMiddleware": "request_context.http_middleware",
    "TenantSchema": "tenant_schema",
    "current_request": "request_context.facts",
    "decrypted_parameters": "encryption.reading",
    "decrypted_results": "encryption.reading",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
