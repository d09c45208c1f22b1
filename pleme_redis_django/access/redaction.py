"""What pages show of a job, as the project's hook ``PLEME_REDIS["REDACT"]`` says.

``f(job, field, value)`` returns what is shown instead of ``value``. Where the hook raises, nothing of the
value is shown, and its error is logged.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable
from typing import Any

from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.hooks import hook
from pleme_redis_django.middleware.encryption.envelope import SHOWN, is_encrypted
from pleme_redis_django.models import AbstractJob, JobAttempt

logger = logging.getLogger(__name__)

Redact = Callable[[Any, str, Any], Any]

HIDDEN = "(not shown: the redaction failed)"
SHARED_FIELDS = (
    "parameters",
    "results",
    "configuration",
    "metadata",
    "progress",
    "error_message",
    "error_details",
)
ENCRYPTABLE_FIELDS = ("parameters", "results")
ATTEMPT_FIELDS = ("message", "traceback")
"""Of a failed attempt; the hook is asked for ``attempt.message`` and ``attempt.traceback``."""


def redact_job(job: AbstractJob) -> None:
    """Replace values that may not be shown, in the instance. Values that are not loaded or None stay so."""
    for field in ENCRYPTABLE_FIELDS:
        if is_encrypted(job.__dict__.get(field)):
            job.__dict__[field] = SHOWN
    if (redact := hook("REDACT")) is not None:
        asked = copy.copy(job)  # so that no answer depends on the one before
        for field in (*SHARED_FIELDS, *fields_of_project(type(job))):
            if (value := job.__dict__.get(field)) not in (None, ""):
                job.__dict__[field] = _answer(redact, asked, field, value)


def redact_attempts(job: AbstractJob | None, attempts: Iterable[JobAttempt]) -> None:
    """Replace what may not be shown of the attempts of a job, None for one whose row is gone."""
    if (redact := hook("REDACT")) is not None:
        for attempt in attempts:
            for field in ATTEMPT_FIELDS:
                if attempt.__dict__.get(field):
                    answer = _answer(redact, job, f"attempt.{field}", attempt.__dict__[field])
                    attempt.__dict__[field] = answer if isinstance(answer, str) else str(answer)


def fields_of_project(model: type[AbstractJob]) -> list[str]:
    shared = {field.name for field in AbstractJob._meta.get_fields()}
    return [field.name for field in model._meta.concrete_fields if field.name not in shared]


def is_redacting() -> bool:
    return get_settings().redact is not None


def _answer(redact: Redact, job: AbstractJob | None, field: str, value: Any) -> Any:
    try:
        return redact(job, field, copy.deepcopy(value))
    except Exception:
        job_id = None if job is None else job.pk
        logger.exception("%s failed for the field %s of job %s", get_settings().redact, field, job_id)
        return HIDDEN
