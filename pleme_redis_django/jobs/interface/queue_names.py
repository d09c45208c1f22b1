"""What a queue may be called, and how it is called where nobody says."""

from __future__ import annotations

import re

from pleme_redis_django.exceptions import InvalidName

DEFAULT_QUEUE_NAME = "default"
QUEUE_NAME_ACCEPTS = "1 to 64 characters of a-z, A-Z, 0-9, '.', '_' and '-', starting with a letter or digit"
_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def validate_queue_name(name: object) -> str:
    """Return ``name`` unchanged when a queue, or a pool's namespace of hints, may be called so.

    Raises InvalidName otherwise.
    """
    if isinstance(name, str) and _QUEUE_NAME.fullmatch(name):
        return name
    raise InvalidName(f"{str(name)[:80]!r} is not a valid queue name. Accepted: {QUEUE_NAME_ACCEPTS}.")
