"""``PLEME_REDIS["ENCRYPTION"]`` as a checked value. No message shows what a key is."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from pleme_redis_django.conf import SETTING_NAME, forget_on_change, get_settings
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.wording import did_you_mean

_PLACE = f'{SETTING_NAME}["ENCRYPTION"]'
DIGEST_KEY_MIN_LENGTH = 32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionSettings:
    """Field names are the keys in lower case."""

    keys: tuple[bytes, ...] = dataclasses.field(repr=False)
    """The first encrypts; all decrypt."""
    job_types: tuple[str, ...] = ("*",)
    """Names of jobs, or patterns of them."""
    results: bool = False
    searchable: tuple[str, ...] | None = None
    """The parameters of which a row keeps digests; None: all."""
    digest_key: bytes | None = dataclasses.field(default=None, repr=False)
    """None: the first of the keys."""

    def encrypts(self, job_type: str) -> bool:
        return any(fnmatchcase(job_type, pattern) for pattern in self.job_types)

    @property
    def digest_keys(self) -> tuple[bytes, ...]:
        """What digests may have been made with, the one that makes new ones first."""
        return self.keys if self.digest_key is None else (self.digest_key,)


@cache
def encryption_settings() -> EncryptionSettings | None:
    """Return the settings; None: there are none. Raises InvalidSettings."""
    raw = get_settings().encryption
    return _checked(raw) if raw else None


def _checked(raw: Mapping[str, Any]) -> EncryptionSettings:
    known = [field.name.upper() for field in dataclasses.fields(EncryptionSettings)]
    for key in raw:
        if key not in known:
            hint = did_you_mean(str(key).upper(), known, otherwise=f"Known keys: {', '.join(known)}.")
            raise InvalidSettings(f'{_PLACE} has the unknown key "{key}". {hint}')
    if not _is_list(raw.get("KEYS")) or not raw["KEYS"]:
        raise InvalidSettings(
            f'{_PLACE}["KEYS"] has no keys. Accepted: a list of Fernet keys, the newest first; '
            "cryptography.fernet.Fernet.generate_key() makes one."
        )
    results = raw.get("RESULTS", False)
    if not isinstance(results, bool):
        raise InvalidSettings(f'{_PLACE}["RESULTS"] is {results!r:.60}. Accepted: True or False.')
    searchable = raw.get("SEARCHABLE")
    return EncryptionSettings(
        keys=tuple(_fernet_key(place, key) for place, key in enumerate(raw["KEYS"])),
        job_types=_texts("JOB_TYPES", raw.get("JOB_TYPES", ["*"])),
        results=results,
        searchable=None if searchable is None else _texts("SEARCHABLE", searchable),
        digest_key=_digest_key(raw.get("DIGEST_KEY")),
    )


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if _is_list(value) and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise InvalidSettings(f'{_PLACE}["{name}"] is {value!r:.60}. Accepted: a list of non-empty strings.')


def _fernet_key(place: int, key: object) -> bytes:
    try:
        encoded = key.encode("ascii") if isinstance(key, str) else key
        if isinstance(encoded, bytes) and len(base64.urlsafe_b64decode(encoded)) == 32:
            return encoded
    except (UnicodeEncodeError, binascii.Error, ValueError):
        pass
    raise InvalidSettings(
        f'{_PLACE}["KEYS"][{place}] is not a Fernet key. Accepted: 32 bytes as url-safe base64; '
        "cryptography.fernet.Fernet.generate_key() makes one."
    )


def _digest_key(key: object) -> bytes | None:
    if key is None:
        return None
    encoded = key.encode() if isinstance(key, str) else key
    if isinstance(encoded, bytes) and len(encoded) >= DIGEST_KEY_MIN_LENGTH:
        return encoded
    raise InvalidSettings(
        f'{_PLACE}["DIGEST_KEY"] is too short, or is not text. Accepted: at least {DIGEST_KEY_MIN_LENGTH} '
        "characters that nobody can guess, or None for the first of KEYS."
    )


forget_on_change(encryption_settings.cache_clear)
