"""The text of the protocol ``pleme.v1``: commands in, replies and pushes out. Pure; docs/reference/protocol.md.

What does not fit the schema raises CommandRefused, which says where. This module raises nothing else.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.jobs.interface.json_text import MAX_NESTING_LEVELS, is_nested_too_deeply
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.redis_state.pubsub.messages import Position

SUBPROTOCOL = "pleme.v1"
PING = "{}"
MAX_ID = 2**53 - 1


class ErrorCode(enum.IntEnum):
    """Codes of the ``error`` reply."""

    INTERNAL = 100
    UNAUTHORIZED = 101
    DENIED = 103
    LIMIT = 106
    BAD_REQUEST = 107
    RATE = 111
    UNRECOVERABLE = 112

    @property
    def is_temporary(self) -> bool:
        """Tell whether the same command may succeed later."""
        return self in (ErrorCode.INTERNAL, ErrorCode.RATE)


class CommandRefused(PlemeError):
    """A command that is answered with an error."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientCommand:
    """One command of a client; ``id`` is None if the client wants no reply."""

    id: int | None
    name: str
    fields: Mapping[str, Any]


# A field's check, what it accepts, and whether it has to be there.
_Field = tuple[Callable[[Any], bool], str, bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_limit(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 1000


def _is_cursor(value: Any) -> bool:
    # Redis' cursors are 64 bit numbers; the length comes first, since int() of a long text is slow.
    return isinstance(value, str) and bool(_CURSOR.fullmatch(value)) and int(value) < 2**64


_CURSOR = re.compile("[0-9]{1,20}")
_CHANNEL: _Field = (_is_text, "a channel name", True)
_SINCE: _Field = (lambda value: value is None or isinstance(value, list), "[epoch, offset]", False)

SCHEMA: dict[str, dict[str, _Field]] = {
    "connect": {
        "client": (_is_text, "a string", False),
        "device": (_is_text, "a string", False),
        "features": (lambda value: isinstance(value, list), "a list", False),
    },
    "sub": {"ch": _CHANNEL, "since": _SINCE},
    "unsub": {"ch": _CHANNEL},
    "pub": {
        "ch": _CHANNEL,
        "d": (lambda _value: True, "any JSON value", True),
        "key": (lambda value: isinstance(value, str) and 0 < len(value) <= 100, "1 to 100 characters", False),
        "echo": (_is_boolean, "true or false", False),
    },
    "pres": {
        "ch": _CHANNEL,
        "meta": (lambda value: isinstance(value, dict), "an object", False),
        "join": (_is_boolean, "true or false", False),
        "cursor": (_is_cursor, "the next of the last page", False),
    },
    "unpres": {"ch": _CHANNEL},
    "typing": {"ch": _CHANNEL, "on": (_is_boolean, "true or false", True)},
    "history": {"ch": _CHANNEL, "since": _SINCE, "limit": (_is_limit, "1 to 1000", False)},
    "active": {},
    "idle": {},
}
RESERVED = frozenset({"refresh"})


def parse_line(line: str, *, strict: bool = False) -> ClientCommand | None:
    """Return the command of one line, or None for an empty object (the answer to a ping).

    Raises CommandRefused; its ``command_id`` is the id for the answer, if one could be read.
    """
    if is_nested_too_deeply(line):
        raise _bad(None, f"the frame is nested too deeply; accepted are {MAX_NESTING_LEVELS} levels")
    try:
        value = _decode(line)
    except (ValueError, RecursionError) as error:
        raise _bad(None, f"the frame is not JSON: {str(error)[:80]}") from None
    if not isinstance(value, dict):
        raise _bad(None, "a command is an object")
    if not value:
        return None
    command_id = value.pop("id", None)
    if command_id is not None and not (type(command_id) is int and 0 < command_id <= MAX_ID):
        raise _bad(None, "id: accepted are whole numbers from 1 to 2^53 - 1")
    names = [name for name in value if name in SCHEMA]
    if len(names) != 1:
        raise _bad(command_id, _what_is_wrong(value, names))
    name = names[0]
    return ClientCommand(id=command_id, name=name, fields=_checked(command_id, name, value[name], strict))


def _checked(command_id: int | None, name: str, fields: Any, strict: bool) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise _bad(command_id, f"{name}: accepted is an object")
    schema = SCHEMA[name]
    for field, (accepts, accepted, is_required) in schema.items():
        if field not in fields:
            if is_required:
                raise _bad(command_id, f"{name}.{field} is missing; accepted is {accepted}")
        elif not accepts(fields[field]):
            raise _bad(command_id, f"{name}.{field}: accepted is {accepted}")
    if strict and (unknown := [field for field in fields if field not in schema]):
        raise _bad(command_id, f"{name}.{unknown[0][:40]} is unknown")
    return fields


def _what_is_wrong(value: Mapping[str, Any], names: list[str]) -> str:
    if names:
        return f"one command a line; found {', '.join(names)}"
    name = next(iter(value), "")[:40]
    if name in RESERVED:
        return f"the command {name!r} is reserved"
    return f"unknown command {name!r}" if name else "there is no command"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# json.loads() would make a decoder for each line.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


class _BadRequest(CommandRefused):
    def __init__(self, command_id: int | None, message: str) -> None:
        super().__init__(ErrorCode.BAD_REQUEST, message)
        self.command_id = command_id


def _bad(command_id: int | None, message: str) -> CommandRefused:
    return _BadRequest(command_id, message)


# What the server says


def reply(command_id: int, name: str, body: str) -> str:
    """Return the reply to a command; ``body`` is JSON text."""
    return f'{{"id":{command_id},"{name}":{body}}}'


def error(command_id: int | None, code: ErrorCode, message: str) -> str:
    """Return the error reply to a command, or the error push for a frame in which no id could be read."""
    body = {"code": int(code), "msg": message, "temp": code.is_temporary}
    return encode({"error": body} if command_id is None else {"id": command_id, "error": body})


def resync(channel: str, position: Position) -> str:
    """Return the push that tells a client that messages of its subscription were lost."""
    return encode({"resync": {"ch": channel, "pos": position}})


def presence_resync(room: str) -> str:
    """Return the push that tells a client to take a new snapshot of a room."""
    return encode({"resync": {"pres": room}})


def unsubscribed(channel: str) -> str:
    """Return the push that tells a client that it lost a subscription."""
    return encode({"unsub": {"ch": channel, "code": int(ErrorCode.DENIED), "why": "permission withdrawn"}})


def room_lost(room: str, code: ErrorCode, why: str) -> str:
    """Return the push that tells a client that it is no longer in a room, and gets nothing more from it."""
    return encode({"unsub": {"pres": room, "code": int(code), "why": why}})


def bye(code: CloseCode, why: str) -> str:
    """Return the push that precedes a close."""
    body: dict[str, Any] = {"code": int(code), "why": why}
    if code.retry_milliseconds is not None:
        body["retry_ms"] = code.retry_milliseconds
    return encode({"bye": body})


def encode(value: Any) -> str:
    """Return compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pub_bodies(frames: list[str]) -> str:
    """Return the JSON list of what is inside ``{"pub":...}`` frames, without decoding them."""
    return "[" + ",".join(frame[len('{"pub":') : -1] for frame in frames) + "]"
