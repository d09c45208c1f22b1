"""Endings as messages: how the process in which an attempt ran apart tells its worker how it ended."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.worker.channel import BadMessage, Message

_KINDS: dict[str, type[Ending]] = {
    kind.__name__: kind for kind in (Completed, Failed, Retried, Snoozed, Cancelled)
}
# The worker knows which attempt runs, and an exception has no form in JSON.
_NOT_SENT = frozenset({"job_id", "claim", "exception"})


def message_of(ending: Ending) -> Message:
    return {"kind": type(ending).__name__, "fields": _fields_of(ending)}


def ending_of(message: Any, context: JobContext) -> Ending:
    """Return the ending that a message tells, for the attempt of ``context``. Raises BadMessage."""
    try:
        kind, fields = _KINDS[message["kind"]], dict(message["fields"])
        if "failure" in fields:
            fields["failure"] = Failure(**fields["failure"])
        return kind(job_id=context.job.id, claim=context.claim, **fields)
    except (KeyError, TypeError, ValueError) as error:
        raise BadMessage(f"it tells no ending: {error!r}") from None


def _fields_of(value: Any) -> dict[str, Any]:
    fields = {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if field.name not in _NOT_SENT
    }
    return {name: _fields_of(one) if isinstance(one, Failure) else one for name, one in fields.items()}
