"""What channels, patterns, users and connections may be called; which channels a pattern covers.

Pure. A channel is ``segment:segment...``; its first segment, the head, numbers its messages. A pattern
is a channel in which any segment but the head may be ``*`` (one segment), and a last ``*`` stands for
one segment or more. Names come from browsers, so everything else is refused before a key is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.wording import shortened

CHANNEL_MAX_LENGTH = 200
SEGMENT_MAX_LENGTH = 64
CHANNEL_ACCEPTS = (
    f"segments of 1 to {SEGMENT_MAX_LENGTH} characters a-z, A-Z, 0-9, '.', '_', '=', '@' and '-', "
    f"not starting with '@', joined by ':', {CHANNEL_MAX_LENGTH} characters in all"
)
PRODUCT_PRESENCE = "@online"
"""The channel for everybody in a product. No other channel may start with ``@``."""

_SEGMENT = r"[A-Za-z0-9._=-][A-Za-z0-9._=@-]{0,63}"
_CHANNEL = re.compile(rf"{_SEGMENT}(?::{_SEGMENT})*")
_PATTERN = re.compile(rf"{_SEGMENT}(?::(?:{_SEGMENT}|\*))*")
_USER = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,128}")
_CONNECTION = re.compile(r"[A-Za-z0-9._~-]{1,64}")


def validate_channel(channel: object) -> str:
    """Return ``channel`` unchanged if it is a valid channel name.

    Raises InvalidName otherwise.
    """
    if isinstance(channel, str) and len(channel) <= CHANNEL_MAX_LENGTH and _CHANNEL.fullmatch(channel):
        return channel
    raise InvalidName(f"{shortened(repr(channel))} is not a valid channel name. Accepted: {CHANNEL_ACCEPTS}.")


def validate_pattern(pattern: object) -> str:
    """Return ``pattern`` unchanged if it is a valid channel name or pattern.

    Raises InvalidName otherwise.
    """
    if isinstance(pattern, str) and len(pattern) <= CHANNEL_MAX_LENGTH and _PATTERN.fullmatch(pattern):
        return pattern
    raise InvalidName(
        f"{shortened(repr(pattern))} is not a valid channel pattern. Accepted: {CHANNEL_ACCEPTS}; "
        "any segment but the first may be '*'."
    )


def validate_room(room: object) -> str:
    """Return ``room`` unchanged if it is a valid channel name, or ``@online`` for the whole product.

    Raises InvalidName otherwise.
    """
    return PRODUCT_PRESENCE if room == PRODUCT_PRESENCE else validate_channel(room)


def validate_user_id(user_id: object) -> str:
    """Return a user's primary key (int, str, UUID) as the text that stands for it everywhere.

    Raises InvalidName if that is empty, longer than 128 characters, or contains blanks or control characters.
    """
    text = str(user_id)
    if user_id is not None and _USER.fullmatch(text):
        return text
    raise InvalidName(
        f"{shortened(repr(user_id))} is not a valid user id. "
        "Accepted: 1 to 128 characters without blanks and control characters."
    )


def validate_connection_id(connection_id: object) -> str:
    """Return ``connection_id`` unchanged if it is a valid connection id.

    Raises InvalidName otherwise.
    """
    if isinstance(connection_id, str) and _CONNECTION.fullmatch(connection_id):
        return connection_id
    raise InvalidName(
        f"{shortened(repr(connection_id))} is not a valid connection id. "
        "Accepted: 1 to 64 characters a-z, A-Z, 0-9, '.', '_', '~', '-'."
    )


def head_of(channel_or_pattern: str) -> str:
    """Return the first segment: what numbers a channel's messages."""
    return channel_or_pattern.partition(":")[0]


def is_pattern(name: str) -> bool:
    """Return whether a valid name is a pattern rather than one channel."""
    return "*" in name


@lru_cache(maxsize=4096)
def matcher(pattern: str) -> re.Pattern[str]:
    """Return the compiled form of a valid pattern; its ``fullmatch`` tells whether it covers a channel."""
    *leading, last = pattern.split(":")
    parts = ["[^:]+" if segment == "*" else re.escape(segment) for segment in leading]
    parts.append(".+" if last == "*" else re.escape(last))
    return re.compile(":".join(parts))


def covers(pattern: str, channel: str) -> bool:
    """Return whether a valid pattern covers a channel."""
    return pattern == channel or ("*" in pattern and matcher(pattern).fullmatch(channel) is not None)


def includes(outer: str, inner: str) -> bool:
    """Return whether ``outer`` covers every channel that the pattern or channel ``inner`` covers.

    A ``*`` of ``inner`` is only covered by a ``*`` of ``outer``, and a last one only by a last one.
    """
    if outer == inner:
        return True
    outer_segments, inner_segments = outer.split(":"), inner.split(":")
    for position, segment in enumerate(outer_segments):
        last = position == len(outer_segments) - 1
        if position >= len(inner_segments):
            return False
        if segment == "*" and last:
            return True
        inner_is_open_end = inner_segments[position] == "*" and position == len(inner_segments) - 1
        if inner_is_open_end or (segment != "*" and segment != inner_segments[position]):
            return False
    return len(outer_segments) == len(inner_segments)


def overlaps(one: str, other: str) -> bool:
    """Return whether both patterns cover some channel."""
    for mine, theirs, is_open in _aligned(one.split(":"), other.split(":")):
        if is_open:
            return True
        if mine != theirs and "*" not in (mine, theirs):
            return False
    return one.count(":") == other.count(":")


def _aligned(one: list[str], other: list[str]) -> Iterator[tuple[str, str, bool]]:
    for position, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        ends = (mine == "*" and position == len(one) - 1, theirs == "*" and position == len(other) - 1)
        yield mine, theirs, any(ends)
