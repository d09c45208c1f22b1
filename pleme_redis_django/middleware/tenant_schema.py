"""TenantSchema: the job middleware that runs a job in the PostgreSQL schema it was enqueued in, by django-tenants."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.middleware.request import EnqueueRequest

METADATA_KEY = "tenant_schema"
"""Under which a job's metadata has the schema."""


class TenantSchema:
    """Stores the current schema with the job, and sets it around each attempt; none is stored for the public one."""

    def __init__(self) -> None:
        try:
            from django_tenants.utils import get_public_schema_name, get_tenant_database_alias, schema_context
        except ImportError:
            raise InvalidSettings(
                "TenantSchema needs the package django-tenants, which is not installed: pip install django-tenants."
            ) from None
        self._schema_context = schema_context
        self._public = get_public_schema_name()
        self._alias = get_tenant_database_alias()

    def enqueue(
        self, call_next: Callable[[EnqueueRequest], EnqueueRequest], request: EnqueueRequest
    ) -> EnqueueRequest:
        schema = getattr(connections[self._alias], "schema_name", self._public)
        if schema == self._public:
            return call_next(request)
        request = request.with_metadata(**{METADATA_KEY: schema})
        if request.is_unique:
            # Equal jobs of two tenants are two: one would never run in the other's schema.
            text = f"{schema}\n{request.key_text()}".encode("utf-8", "surrogatepass")
            request = request.replace(unique_key=hashlib.blake2b(text, digest_size=16).hexdigest())
        return call_next(request)

    def attempt(self, call_next: Callable[[JobContext], Any], context: JobContext) -> Any:
        with self._schema_context(self._schema_of(context)):
            return call_next(context)

    async def aattempt(self, call_next: Callable[[JobContext], Awaitable[Any]], context: JobContext) -> Any:
        # In the thread of the handler's queries, whose connection it is.
        switch = self._schema_context(self._schema_of(context))
        await sync_to_async(switch.__enter__)()
        try:
            return await call_next(context)
        finally:
            await sync_to_async(switch.__exit__)(None, None, None)

    def _schema_of(self, context: JobContext) -> str:
        metadata = getattr(context.job, "metadata", None)
        schema = metadata.get(METADATA_KEY) if isinstance(metadata, Mapping) else None
        return schema if isinstance(schema, str) else str(self._public)
