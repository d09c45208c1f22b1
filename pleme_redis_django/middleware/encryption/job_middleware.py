"""EncryptedParameters: the job middleware that encrypts parameters for the row, and decrypts them for the handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.exceptions import InvalidResult, InvalidSettings, NotJson
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.json_text import to_json
from pleme_redis_django.middleware.encryption.digests import parameter_digests, unique_digest
from pleme_redis_django.middleware.encryption.encryption_settings import (
    EncryptionSettings,
    encryption_settings,
)
from pleme_redis_django.middleware.encryption.envelope import is_encrypted
from pleme_redis_django.middleware.encryption.key_ring import KeyRing
from pleme_redis_django.middleware.encryption.reading import decrypted_parameters, key_ring
from pleme_redis_django.middleware.request import EnqueueRequest


class EncryptedParameters:
    """Keeps parameters, and results if asked to, from whoever reads the rows. First in the list of middleware."""

    reads_metadata = False

    def __init__(self) -> None:
        self._settings, self._ring = _configured()

    def enqueue(
        self, call_next: Callable[[EnqueueRequest], EnqueueRequest], request: EnqueueRequest
    ) -> EnqueueRequest:
        request = call_next(request)
        if not self._settings.encrypts(request.job_type):
            return request
        request.check_json()
        digests = parameter_digests(self._settings, request.parameters)
        sealed = request.seal(self._ring.encrypt(request.job_type, dict(request.parameters), digests))
        if not (request.is_unique or request.unique_key is not None):
            return sealed
        # What makes jobs equal is kept as a digest without a key, from which parameters could be guessed.
        key = unique_digest(self._settings, request.unique_key, request.parameters)
        return sealed.replace(unique_key=key)

    def attempt(self, call_next: Callable[[JobContext], Any], context: JobContext) -> Any:
        if not self._open(context):
            return call_next(context)
        return self._closed(context, call_next(context))

    async def aattempt(self, call_next: Callable[[JobContext], Awaitable[Any]], context: JobContext) -> Any:
        if not self._open(context):
            return await call_next(context)
        return self._closed(context, await call_next(context))

    def _open(self, context: JobContext) -> bool:
        """Decrypt for the handler; False: the row is of a time or of a type that is not encrypted."""
        if not is_encrypted(context.parameters):
            return False
        context.parameters = decrypted_parameters(context.job)
        # What a handler raises may quote them.
        context.hides_failure = True
        return True

    def _closed(self, context: JobContext, result: Any) -> Any:
        if result is None or not self._settings.results:
            return result
        job_type = context.job.job_type
        try:
            to_json(result, max_bytes=get_settings().max_results_bytes)
        except NotJson as error:
            raise InvalidResult(f"{job_type} returned a result that cannot be stored: {error}.") from None
        return self._ring.encrypt(job_type, result)


def _configured() -> tuple[EncryptionSettings, KeyRing]:
    settings, ring = encryption_settings(), key_ring()
    if settings is None or ring is None:
        raise InvalidSettings(
            f'{SETTING_NAME}["MIDDLEWARE"] lists EncryptedParameters, and {SETTING_NAME}["ENCRYPTION"] names no keys. '
            'Set it: {"KEYS": [...]}, with a key of cryptography.fernet.Fernet.generate_key().'
        )
    return settings, ring
