"""What surrounds a cached value: the generations under which it was stored, and how it may age.

    header: byte 1, generation (8), number of tags (1), for each tag its digest (16) and generation (8)
    tail:   flags (1), grace in ms (4), build time in ms (4), typed JSON

Lua builds the header and compares it as a whole.
"""

from __future__ import annotations

import struct
from typing import Any

from pleme_redis_django.redis_state.cache import codec

GENERATION_BYTES = 8
# Longer than any entry, so that a generation outlives what was stored under it.
GENERATION_TTL_MS = 31 * 24 * 3600 * 1000
HEADER_BYTES = 1 + GENERATION_BYTES + 1
TAG_DIGEST_BYTES = 16
TAG_BYTES = TAG_DIGEST_BYTES + GENERATION_BYTES
LARGEST_MS = 2**32 - 1

_AGING = struct.Struct("<BII")
_FLAG_TYPED = 1

LOOK_CLOSER = object()


def pack_tail(value: Any, *, grace_ms: int = 0, build_ms: int = 0) -> bytes:
    """Return what follows the header. Raises UncacheableValue for a type that is not accepted."""
    text, typed = codec.encode(value)
    return _AGING.pack(_FLAG_TYPED if typed else 0, grace_ms, min(build_ms, LARGEST_MS)) + text


def is_of(entry: bytes, generation: bytes | None) -> bool:
    """Whether an entry was stored under this generation; its tags are not checked."""
    return entry[:1] == b"\x01" and generation is not None and entry[1 : HEADER_BYTES - 1] == generation


def simple_value_of(entry: bytes, generation: bytes | None) -> Any:
    """Return the value of a valid entry without tags and grace; LOOK_CLOSER for any other entry."""
    if not is_of(entry, generation) or entry[HEADER_BYTES - 1]:
        return LOOK_CLOSER
    try:
        flags, grace_ms, _ = _AGING.unpack_from(entry, HEADER_BYTES)
        if grace_ms or flags > _FLAG_TYPED:
            return LOOK_CLOSER
        return codec.decode(entry[HEADER_BYTES + _AGING.size :], typed=flags == _FLAG_TYPED)
    except (struct.error, ValueError):
        return LOOK_CLOSER


def tags_of(entry: bytes) -> list[tuple[str, bytes]]:
    """Return the tags of an entry: hexadecimal digest and generation."""
    if not entry[HEADER_BYTES - 1]:
        return []
    tags = (entry[at : at + TAG_BYTES] for at in range(HEADER_BYTES, _header_end(entry), TAG_BYTES))
    return [(tag[:TAG_DIGEST_BYTES].hex(), tag[TAG_DIGEST_BYTES:]) for tag in tags]


def grace_ms_of(entry: bytes) -> int:
    """Return for how many ms at the end of its life an entry is stale. Raises ValueError if it is cut off."""
    return int(_unpack_aging(entry)[1])


def build_ms_of(entry: bytes) -> int:
    """Return how many ms it took to build the value, 0 if that was not measured."""
    return int(_unpack_aging(entry)[2])


def value_of(entry: bytes) -> Any:
    """Return the value. Raises ValueError for what this module did not write."""
    end = _header_end(entry)
    flags, _, _ = _unpack_aging(entry)
    if flags > _FLAG_TYPED:
        raise ValueError("the entry has flags of another version")
    return codec.decode(entry[end + _AGING.size :], typed=bool(flags & _FLAG_TYPED))


def _header_end(entry: bytes) -> int:
    return HEADER_BYTES + entry[HEADER_BYTES - 1] * TAG_BYTES


def _unpack_aging(entry: bytes) -> tuple[int, int, int]:
    try:
        return _AGING.unpack_from(entry, _header_end(entry))
    except (struct.error, IndexError) as error:
        raise ValueError("the entry is cut short") from error
