"""Codec: how the values of one annotation become JSON and values again. Mismatch: why a value does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import NoneType
from typing import Any, NoReturn

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.wording import shortened

FORMS: frozenset[type] = frozenset({NoneType, bool, int, float, str, list, dict})
"""The Python types that JSON is read as."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codec:
    """Both directions of one annotation. ``encode`` and ``decode`` return or raise Mismatch."""

    annotation: str
    """As people write it."""
    accepts: str
    """What an enqueue may give, in words."""
    reads: str
    """What may be stored, in words."""
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    forms: frozenset[type]
    """The types that a stored value may have; a union tells its members apart by them."""
    types: tuple[type, ...]
    """The types of the values that ``encode`` takes."""
    as_is: type | None = None
    """Values of exactly this type are stored, and given to the handler, as they are."""

    def refuse(self, value: object, problem: str = "") -> NoReturn:
        """Raise the Mismatch of a value that an enqueue gave, or a handler returned."""
        raise Mismatch(problem or f"is {shown(value)}", self.annotation, self.accepts)

    def refuse_stored(self, value: object, problem: str = "") -> NoReturn:
        """Raise the Mismatch of a stored value."""
        raise Mismatch(problem or f"is {shown(value)}", self.annotation, self.reads)


class Mismatch(PlemeError):
    """A value that an annotation does not accept. The code that catches it adds the name of the parameter."""

    def __init__(self, problem: str, annotation: str, accepted: str) -> None:
        super().__init__(problem, annotation, accepted)
        self.problem = problem
        self.annotation = annotation
        self.accepted = accepted
        self.path = ""

    def under(self, step: str) -> Mismatch:
        """Return itself with one more step in front of its path."""
        self.path = f"{step}{self.path}"
        return self


class Unsupported(PlemeError):
    """An annotation for which there is no codec; the message says why, and what to write instead."""


def unchanged(value: Any) -> Any:
    return value


def shown(value: object) -> str:
    """Return a value as a message quotes it, with its type."""
    try:
        text = shortened(repr(value))
    except Exception:  # A repr() of the project that fails, or a whole number of thousands of digits.
        return f"a {type(value).__name__} that cannot be shown"
    return text if value is None else f"{text} ({type(value).__name__})"


def written(annotation: object) -> str:
    """Return an annotation as people write it."""
    if annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")
