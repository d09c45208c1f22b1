"""Keyed digests: by which encrypted values are compared and looked for, and which nobody can guess without the key.

HMAC with SHA-256 (RFC 2104), cut to 128 bits. Equal values have equal digests, and a row shows no more of them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from pleme_redis_django.jobs.interface.json_text import canonical_json
from pleme_redis_django.middleware.encryption.encryption_settings import (
    EncryptionSettings,
    encryption_settings,
)

DIGEST_LENGTH = 32


def unique_digest(settings: EncryptionSettings, key: str | None, parameters: Mapping[str, Any]) -> str:
    """Return what makes two encrypted jobs equal, in place of their unique key or their parameters."""
    said = ["parameters", dict(parameters)] if key is None else ["unique_key", key]
    return _digest(settings.digest_keys[0], said)


def parameter_digests(settings: EncryptionSettings, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the digest of each parameter that can be searched for."""
    names = parameters if settings.searchable is None else settings.searchable
    key = settings.digest_keys[0]
    return {name: _digest(key, ["parameter", name, parameters[name]]) for name in names if name in parameters}


def searched_digests(name: str, value: Any) -> list[str]:
    """Return the digests that a parameter of this value may have in a row: one for each key, none without keys."""
    settings = encryption_settings()
    keys = () if settings is None else settings.digest_keys
    return [_digest(key, ["parameter", name, value]) for key in keys]


def _digest(key: bytes, said: list[Any]) -> str:
    text = canonical_json(said).encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:DIGEST_LENGTH]
