"""Codecs of dataclasses, named tuples and TypedDicts: an object with a value for each field."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Mismatch, Unsupported, shown

_OBJECT = frozenset({dict})


Conversion = tuple[str, type | None, Callable[[Any], Any]]
"""Of one field: its name, the type of the values that stay as they are, and the function that converts the others."""


class Fields:
    """The fields of a record, filled in after its codec is made: one of them may be of the record's own type."""

    __slots__ = ("decoders", "encoders", "names", "required")

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.required: frozenset[str] = frozenset()
        self.encoders: list[Conversion] = []
        self.decoders: list[Conversion] = []

    def fill(self, codecs: Mapping[str, Codec], required: Collection[str]) -> None:
        """Take the codec of each field, and the names of those that are required."""
        self.names, self.required = frozenset(codecs), frozenset(required)
        self.encoders = [(name, codec.as_is, codec.encode) for name, codec in codecs.items()]
        self.decoders = [(name, codec.as_is, codec.decode) for name, codec in codecs.items()]

    def fault_of(self, given: Mapping[Any, Any]) -> str:
        """Return which key is missing or unknown; "" if none is."""
        names = given.keys()
        if self.required <= names and names <= self.names:
            return ""
        if missing := sorted(self.required - names):
            return f"has no {missing[0]!r}"
        unknown = next(name for name in names if name not in self.names)
        return f"has the key {shown(unknown)}, which it does not know"


def object_codec(kind: type[Any], fields: Fields) -> Codec:
    """Return the codec of a dataclass or a named tuple."""

    def encode(value: Any) -> dict[str, Any]:
        # A value of a subclass would lose its additional fields.
        if type(value) is not kind:
            codec.refuse(value)
        stored: dict[str, Any] = {}
        name = ""
        try:
            for name, as_is, convert in fields.encoders:
                item = getattr(value, name)
                stored[name] = item if type(item) is as_is else convert(item)
        except Mismatch as mismatch:
            raise mismatch.under(f".{name}") from None
        return stored

    def decode(stored: Any) -> Any:
        if type(stored) is not dict:
            codec.refuse_stored(stored)
        if fault := fields.fault_of(stored):
            codec.refuse_stored(stored, fault)
        values = _converted(stored, fields.decoders)
        try:
            return kind(**values)
        except Exception as error:  # The class may refuse values in any way.
            codec.refuse_stored(
                stored, f"is refused by {kind.__qualname__} ({type(error).__name__}: {error})"
            )

    codec = Codec(
        annotation=kind.__qualname__,
        accepts=f"a {kind.__qualname__}, not one of a subclass",
        reads="an object with its fields",
        encode=encode,
        decode=decode,
        forms=_OBJECT,
        types=(kind,),
    )
    return codec


def typed_dict_codec(kind: type[Any], fields: Fields) -> Codec:

    def encode(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            codec.refuse(value)
        if fault := fields.fault_of(value):
            codec.refuse(value, fault)
        return _converted(value, fields.encoders)

    def decode(stored: Any) -> dict[str, Any]:
        if type(stored) is not dict:
            codec.refuse_stored(stored)
        if fault := fields.fault_of(stored):
            codec.refuse_stored(stored, fault)
        return _converted(stored, fields.decoders)

    codec = Codec(
        annotation=kind.__qualname__,
        accepts=f"a dict with the keys of {kind.__qualname__}",
        reads=f"an object with the keys of {kind.__qualname__}",
        encode=encode,
        decode=decode,
        forms=_OBJECT,
        types=(dict,),
    )
    return codec


def _converted(given: Mapping[str, Any], conversions: list[Conversion]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    name = ""
    try:
        for name, as_is, convert in conversions:
            if name in given:
                item = given[name]
                converted[name] = item if type(item) is as_is else convert(item)
    except Mismatch as mismatch:
        raise mismatch.under(f".{name}") from None
    return converted


def fields_of_dataclass(kind: type[Any]) -> Mapping[str, bool]:
    """Return the names of the fields that make a value, and whether each is required. Raises Unsupported."""
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if more := sorted(inspect.signature(kind).parameters.keys() ^ fields.keys()):
        raise Unsupported(
            f"{kind.__qualname__} is not made of its fields alone: {', '.join(more)} (an InitVar, or an __init__ of "
            "its own), which cannot be read back from one"
        )
    unset = dataclasses.MISSING
    return {name: one.default is unset and one.default_factory is unset for name, one in fields.items()}


def fields_of_named_tuple(kind: Any) -> Mapping[str, bool]:
    """Return the names of the fields, and whether each is required."""
    return {name: name not in kind._field_defaults for name in kind._fields}
