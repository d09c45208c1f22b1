"""Reading what rows hold encrypted: for the middleware, for results, and for code of the project."""

from __future__ import annotations

from functools import cache
from typing import Any

from pleme_redis_django.conf import SETTING_NAME, forget_on_change
from pleme_redis_django.exceptions import EncryptionKeyMissing, PlemeError
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.middleware.encryption.encryption_settings import encryption_settings
from pleme_redis_django.middleware.encryption.envelope import content_of
from pleme_redis_django.middleware.encryption.key_ring import KeyRing


@cache
def key_ring() -> KeyRing | None:
    """Return the keys of the settings; None: there are none. Raises InvalidSettings."""
    settings = encryption_settings()
    return None if settings is None else KeyRing(settings.keys)


def decrypted_parameters(job: AnyJob) -> Any:
    """Return the parameters of a job, decrypted where its row holds them encrypted.

    Raises EncryptionKeyMissing where this process lacks their key.
    """
    return decrypted(job.job_type, job.parameters)


def decrypted_results(job: Any) -> Any:
    """Return the results of a job, decrypted where its row holds them encrypted. Raises EncryptionKeyMissing."""
    return decrypted(job.job_type, job.results)


def parameters_if_readable(job: AnyJob) -> Any:
    """Return the parameters, those of an encrypted job only where this process has their key; else none."""
    if content_of(job.parameters) is None:
        return job.parameters
    try:
        return decrypted_parameters(job)
    except PlemeError:
        return {}


def results_if_readable(job: Any) -> Any:
    """Return the results, those that are encrypted only where this process has their key; else None."""
    try:
        return decrypted_results(job)
    except PlemeError:
        return None


def decrypted(job_type: str, value: Any) -> Any:
    """Return what a row of this type holds, decrypted where it is encrypted.

    Raises EncryptionKeyMissing without its key, and InvalidParameters for what was not encrypted for this type.
    """
    content = content_of(value)
    if content is None:
        return value
    ring = key_ring()
    if ring is None:
        raise EncryptionKeyMissing(
            f'What the row of {job_type} holds is encrypted, and {SETTING_NAME}["ENCRYPTION"] names no keys here.'
        )
    return ring.decrypt(job_type, content)


forget_on_change(key_ring.cache_clear)
