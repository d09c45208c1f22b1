"""Reads a pickle of plain constants without unpickling it: it builds text, numbers, lists and dicts, and imports and
calls nothing. Every other opcode is refused by name.

Opcodes: pickletools of the standard library, whose ``genops`` takes a pickle apart and executes nothing.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, Final

from pleme_redis_django.adoption.schedules.entry import CannotExpress
from pleme_redis_django.adoption.schedules.plain_values import checked_plain
from pleme_redis_django.wording import shortened

MAX_OPCODES = 100_000
# More digits than any argument has, and so few that no conversion takes long.
_MAX_BITS = 128
_MARK: Final = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_WITH_VALUE = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    }
)
_NEW: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING = frozenset({"PROTO", "FRAME"})
_IMPORTS = frozenset({"GLOBAL", "STACK_GLOBAL", "INST"})
_NEXT_STEP = "Make the schedule in the admin, with arguments that are JSON"


def plain_constants(data: bytes) -> Any:
    """Return what a pickle of plain constants holds. Raises CannotExpress for any other, and for no pickle."""
    machine = _Machine()
    try:
        for count, (opcode, argument, _position) in enumerate(pickletools.genops(data)):
            if count > MAX_OPCODES:
                raise CannotExpress(f"its pickle has more than {MAX_OPCODES:,} steps. {_NEXT_STEP}")
            if opcode.name == "STOP":
                return checked_plain(machine.result())
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeError) as error:
        raise CannotExpress(f"its pickle is broken ({type(error).__name__}). {_NEXT_STEP}") from None
    raise CannotExpress(f"its pickle is cut off. {_NEXT_STEP}")


class _Machine:
    """The stack and the memo, for the opcodes of constants."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        (value,) = self._stack
        return value

    def step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _NOTHING:
            return
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _WITH_VALUE:
            if isinstance(argument, int) and argument.bit_length() > _MAX_BITS:
                raise CannotExpress(
                    f"its arguments have a number of {argument.bit_length()} bits. {_NEXT_STEP}"
                )
            stack.append(argument)
        elif name in _NEW:
            stack.append(_NEW[name]())
        elif name in _TUPLES:
            stack.append(tuple(self._popped(_TUPLES[name])))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in {"APPEND", "APPENDS"}:
            self._extend(self._popped(1) if name == "APPEND" else self._since_mark())
        elif name in {"SETITEM", "SETITEMS"}:
            self._update(self._popped(2) if name == "SETITEM" else self._since_mark())
        elif name in {"MEMOIZE", "BINPUT", "LONG_BINPUT"}:
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(self._memo[argument])
        else:
            raise self._refusal(name, argument)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError("no list")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise TypeError("no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise TypeError("a key that is not text")
            target[key] = value

    def _popped(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError("an empty stack")
        values = self._stack[-count:]
        del self._stack[-count:]
        return values

    def _since_mark(self) -> list[Any]:
        marks = [position for position, value in enumerate(self._stack) if value is _MARK]
        position = marks[-1]
        values = self._stack[position + 1 :]
        del self._stack[position:]
        return values

    def _refusal(self, name: str, argument: Any) -> CannotExpress:
        if name not in _IMPORTS:
            return CannotExpress(
                f"its pickle has the step {name}, which plain constants do not have. {_NEXT_STEP}"
            )
        words = argument if isinstance(argument, str) else ".".join(str(each) for each in self._stack[-2:])
        return CannotExpress(
            f"its pickle has {shortened(repr(words.replace(' ', '.')))}, and nothing is unpickled here. {_NEXT_STEP}"
        )
