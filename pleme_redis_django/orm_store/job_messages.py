"""Claimed jobs as JSON: how the row of an attempt comes to the process in which it runs apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pleme_redis_django.exceptions import ExecutionFailed
from pleme_redis_django.models import AbstractJob

# What a claim has found out beside the columns.
_OF_THE_CLAIM = ("waited_seconds", "expires_in_seconds")


def message_of_job(job: Any) -> dict[str, Any]:
    """Return what is loaded of a job. Raises ExecutionFailed for one that is no row of a job model."""
    if not isinstance(job, AbstractJob):
        raise ExecutionFailed(
            f"{job.job_type} is isolated, and a {type(job).__name__} is no row that another process could be given.",
            error_code="not_isolated",
        )
    loaded = job.__dict__
    fields = {
        field.attname: None if loaded[field.attname] is None else field.value_to_string(job)
        for field in job._meta.concrete_fields
        if field.attname in loaded
    }
    return {
        "fields": fields,
        "database": job._state.db,
        **{name: getattr(job, name) for name in _OF_THE_CLAIM},
    }


def reader_of_jobs(model: type[AbstractJob]) -> Callable[[Any], Any]:
    """Return what makes a job of ``model`` of such a message; a column that was not loaded is deferred."""

    def job_of(message: Any) -> Any:
        texts = message["fields"]
        fields = [field for field in model._meta.concrete_fields if field.attname in texts]
        values = [
            None if texts[field.attname] is None else field.to_python(texts[field.attname])
            for field in fields
        ]
        job = model.from_db(message["database"], [field.attname for field in fields], values)
        for name in _OF_THE_CLAIM:
            setattr(job, name, message[name])
        return job

    return job_of
