"""KeyRing: encrypts with the first of its keys, and decrypts with the one that a row names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pleme_redis_django.exceptions import EncryptionKeyMissing, InvalidParameters, InvalidSettings
from pleme_redis_django.jobs.interface.json_text import canonical_json
from pleme_redis_django.middleware.encryption.envelope import envelope

KEY_ID_LENGTH = 8


class KeyRing:
    """Fernet keys (authenticated encryption: AES-128-CBC and HMAC-SHA256), the newest first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        try:
            from cryptography.fernet import Fernet, InvalidToken
        except ImportError:
            raise InvalidSettings(
                "Encrypted parameters need the package cryptography: "
                'pip install "pleme-redis-django[encryption]".'
            ) from None
        self._fernets = {key_id(key): Fernet(key) for key in keys}
        self._first = key_id(keys[0])
        self._invalid = InvalidToken

    def encrypt(self, job_type: str, value: Any, digests: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the envelope of a value that belongs to jobs of a type."""
        text = canonical_json([job_type, value]).encode()
        return envelope(self._fernets[self._first].encrypt(text).decode("ascii"), self._first, digests)

    def decrypt(self, job_type: str, content: Mapping[str, Any]) -> Any:
        """Return the value that an envelope of a job of this type holds.

        Raises EncryptionKeyMissing without its key, and InvalidParameters for what was not encrypted with that key,
        or for another type of job.
        """
        name, token = content.get("key"), content.get("token")
        fernet = self._fernets.get(name) if isinstance(name, str) else None
        if fernet is None:
            raise EncryptionKeyMissing(
                f"What the row of {job_type} holds was encrypted with the key {str(name)[:KEY_ID_LENGTH]}, and the "
                f"keys here are {', '.join(self._fernets)}. Put that key back into KEYS; the row is as it was."
            )
        try:
            kind, value = json.loads(fernet.decrypt(str(token).encode()))
        except (self._invalid, ValueError, TypeError):
            kind, value = None, None
        if kind != job_type:
            raise InvalidParameters(
                f"What the row of {job_type} holds was not encrypted for it with the key {name}: it was changed, or is "
                "of another job."
            )
        return value


def key_id(key: bytes) -> str:
    """Return the name of a key, as rows and messages have it: the beginning of its digest."""
    return hashlib.sha256(key).hexdigest()[:KEY_ID_LENGTH]
