"""Compiling: from an annotation to its codec, however it is written."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import GenericAlias, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    LiteralString,
    NotRequired,
    ParamSpecArgs,
    ParamSpecKwargs,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from pleme_redis_django.jobs.definitions.codecs.choices import enum_codec, literal_codec
from pleme_redis_django.jobs.definitions.codecs.codec import FORMS, Codec, Unsupported, written
from pleme_redis_django.jobs.definitions.codecs.containers import (
    dict_codec,
    list_codec,
    set_codec,
    tuple_codec,
)
from pleme_redis_django.jobs.definitions.codecs.moments import DAY, DURATION, MOMENT, TIME
from pleme_redis_django.jobs.definitions.codecs.plain import ANYTHING, FLAG, FLOAT, NOTHING, TEXT, WHOLE
from pleme_redis_django.jobs.definitions.codecs.pydantic_models import is_of_pydantic, pydantic_codec
from pleme_redis_django.jobs.definitions.codecs.records import (
    Fields,
    fields_of_dataclass,
    fields_of_named_tuple,
    object_codec,
    typed_dict_codec,
)
from pleme_redis_django.jobs.definitions.codecs.texts import BYTES, DECIMAL, IDENTIFIER
from pleme_redis_django.jobs.definitions.codecs.unions import union_codec

_SIMPLE: Mapping[object, Codec] = {
    Any: ANYTHING,
    object: ANYTHING,
    None: NOTHING,
    NoneType: NOTHING,
    str: TEXT,
    LiteralString: TEXT,
    int: WHOLE,
    float: FLOAT,
    bool: FLAG,
    datetime: MOMENT,
    date: DAY,
    time: TIME,
    timedelta: DURATION,
    Decimal: DECIMAL,
    UUID: IDENTIFIER,
    bytes: BYTES,
}
_WRAPPERS = ("Annotated", "Required", "NotRequired", "ReadOnly")
_ACCEPTED = (
    "str, int, float, bool, None, datetime, date, time, timedelta, Decimal, UUID, bytes, Enum, Literal, dataclasses, "
    "NamedTuple, TypedDict, pydantic's models, and list, tuple, set, dict and unions of these; Any for JSON as it is; "
    "the id of an object that the database holds"
)


class Compiler:
    """Makes the codecs of one handler; a type that contains itself is made once."""

    def __init__(self) -> None:
        self._made: dict[object, Codec] = {}

    def codec_of(self, annotation: Any) -> Codec:
        """Return the codec of an annotation.

        Raises Unsupported for one that has none, and NameError for one that names what is not defined.
        """
        if (codec := self._known(annotation)) is not None:
            return codec
        if isinstance(annotation, ParamSpecArgs | ParamSpecKwargs):
            return ANYTHING
        if isinstance(annotation, TypeVar):
            return self.codec_of(Any if annotation.__bound__ is None else annotation.__bound__)
        if type(annotation).__name__ == "TypeAliasType":
            return self._alias(annotation)
        if hasattr(annotation, "__supertype__"):  # A NewType.
            return self.codec_of(annotation.__supertype__)
        origin = get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, get_args(annotation))
        if isinstance(annotation, type):
            return self._class(annotation)
        raise self._unsupported(annotation)

    def _known(self, annotation: Any) -> Codec | None:
        try:
            return _SIMPLE.get(annotation) or self._made.get(annotation)
        except TypeError:  # An Annotated whose notes have no hash.
            return None

    def _generic(self, annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Codec:
        if origin in (Annotated, Required, NotRequired) or getattr(origin, "_name", "") in _WRAPPERS:
            return self.codec_of(arguments[0])
        if origin is Union or origin is UnionType:
            return union_codec([self.codec_of(one) for one in _with_one_literal(arguments)])
        if origin is Literal:
            return literal_codec(arguments, self.codec_of)
        if not arguments and not isinstance(annotation, GenericAlias):  # A plain typing.List, and its like.
            return self._class(origin)
        if origin is tuple:
            return self._tuple(arguments)
        make = _CONTAINERS.get(origin)
        if make is None:
            raise self._unsupported(annotation)
        return make(*(self.codec_of(one) for one in arguments))

    def _tuple(self, arguments: tuple[Any, ...]) -> Codec:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple_codec(self.codec_of(arguments[0]))
        return tuple_codec([self.codec_of(one) for one in arguments if one != ()])

    def _class(self, kind: type[Any]) -> Codec:
        if kind is tuple:
            return tuple_codec(ANYTHING)
        if make := _CONTAINERS.get(kind):
            return make(ANYTHING, ANYTHING) if kind in (dict, Mapping) else make(ANYTHING)
        if issubclass(kind, enum.Enum):
            return self._kept(kind, enum_codec(kind))
        if is_of_pydantic(kind):
            return self._kept(kind, pydantic_codec(kind))
        if is_dataclass(kind):
            return self._record(kind, object_codec, fields_of_dataclass(kind))
        if issubclass(kind, tuple) and hasattr(kind, "_field_defaults"):
            return self._record(kind, object_codec, fields_of_named_tuple(kind))
        if issubclass(kind, dict) and hasattr(kind, "__required_keys__"):
            return self._record(kind, typed_dict_codec, None)
        raise self._unsupported(kind)

    def _record(
        self, kind: type[Any], make: Callable[[type[Any], Fields], Codec], names: Mapping[str, bool] | None
    ) -> Codec:
        """Return the codec of a class with fields. ``names``: each, and whether it is required; None: a TypedDict."""
        hints = get_type_hints(kind, include_extras=True)
        fields = Fields()
        codec = self._kept(kind, make(kind, fields))
        if names is None:
            names = {name: _is_required(kind, name, hint) for name, hint in hints.items()}
        codecs: dict[str, Codec] = {}
        for name in names:
            try:
                # The fields of a collections.namedtuple have no annotations.
                codecs[name] = self.codec_of(hints.get(name, Any))
            except Unsupported as error:
                raise Unsupported(f"{kind.__qualname__}.{name}: {error}") from None
        fields.fill(codecs, [name for name, required in names.items() if required])
        return codec

    def _alias(self, alias: Any) -> Codec:
        """Return the codec of a ``type X = ...``, which may contain itself."""
        later: list[Codec] = []
        self._made[alias] = Codec(
            annotation=str(alias),
            accepts=f"what {alias} says",
            reads=f"what {alias} says",
            encode=lambda value: later[0].encode(value),
            decode=lambda stored: later[0].decode(stored),
            forms=FORMS,
            types=(object,),
        )
        later.append(self.codec_of(alias.__value__))
        return self._kept(alias, later[0])

    def _kept(self, annotation: object, codec: Codec) -> Codec:
        self._made[annotation] = codec
        return codec

    def _unsupported(self, annotation: object) -> Unsupported:
        return Unsupported(f"{written(annotation)} has no form in JSON. Accepted: {_ACCEPTED}")


_CONTAINERS: Mapping[object, Callable[..., Codec]] = {
    list: list_codec,
    Sequence: lambda item: list_codec(item, any_sequence=True),
    set: lambda item: set_codec(item, set),
    frozenset: lambda item: set_codec(item, frozenset),
    dict: dict_codec,
    Mapping: dict_codec,
}


def _with_one_literal(members: tuple[Any, ...]) -> list[Any]:
    """Return the members of a union, with all their Literals as one: what has to be told apart is their values."""
    values = [value for one in members if get_origin(one) is Literal for value in get_args(one)]
    others = [one for one in members if get_origin(one) is not Literal]
    return [*others, Literal[tuple(values)]] if values else others


def _is_required(kind: type[Any], name: str, hint: Any) -> bool:
    # A class whose annotations are text does not know itself which of its keys are required.
    origin = get_origin(hint)
    if origin in (Required, NotRequired):
        return bool(origin is Required)
    return name in kind.__required_keys__
