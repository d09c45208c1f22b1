"""RequestContext: the job middleware that takes the request along, and makes it the current one around the attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.middleware.request import EnqueueRequest
from pleme_redis_django.middleware.request_context.facts import (
    METADATA_KEY,
    active,
    current_request,
    facts_of,
    stored,
)


class RequestContext:
    """Carries request id, user id and language from the request to the job, and to the jobs that it enqueues."""

    def enqueue(
        self, call_next: Callable[[EnqueueRequest], EnqueueRequest], request: EnqueueRequest
    ) -> EnqueueRequest:
        current = current_request()
        if current is None:
            return call_next(request)
        return call_next(request.with_metadata(**{METADATA_KEY: stored(current)}))

    def attempt(self, call_next: Callable[[JobContext], Any], context: JobContext) -> Any:
        facts = facts_of(context.job)
        if facts is None:
            return call_next(context)
        with active(facts):
            return call_next(context)

    async def aattempt(self, call_next: Callable[[JobContext], Awaitable[Any]], context: JobContext) -> Any:
        facts = facts_of(context.job)
        if facts is None:
            return await call_next(context)
        with active(facts):
            return await call_next(context)
