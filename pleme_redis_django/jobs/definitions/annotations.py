"""The annotations of a handler, read: which codec each parameter and the result has."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.jobs.definitions.arguments import stored_name
from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Unsupported, written
from pleme_redis_django.jobs.definitions.codecs.compiling import Compiler
from pleme_redis_django.jobs.definitions.codecs.containers import list_codec
from pleme_redis_django.jobs.definitions.codecs.plain import ANYTHING, NOTHING
from pleme_redis_django.jobs.definitions.handler_types import NOT_DEFINED, Codecs

_EMPTY = inspect.Parameter.empty


def codecs_of(name: str, source: Callable[..., Any], signature: inspect.Signature) -> Codecs:
    """Return the codecs of a handler. ``source``: the function in whose module its annotations are looked up.

    Raises InvalidJobDefinition for an annotation that has no codec, one of NOT_DEFINED for one that names what is
    not there.
    """
    reading = _Reading(name, source)
    codecs: dict[str, Codec] = {}
    others: Codec | None = None
    for parameter in signature.parameters.values():
        codec = reading.codec_of(parameter.name, parameter.annotation)
        if parameter.kind is parameter.VAR_KEYWORD:
            others = codec
        elif parameter.kind is parameter.VAR_POSITIONAL:
            codecs[stored_name(parameter)] = list_codec(codec)
        else:
            codecs[parameter.name] = codec
    result = reading.codec_of("return", signature.return_annotation)
    others = None if others is ANYTHING else others
    return Codecs(
        # What is of any type is looked up only where others are not.
        parameters={
            each: codec for each, codec in codecs.items() if codec is not ANYTHING or others is not None
        },
        others=others,
        result=None if result in (ANYTHING, NOTHING) else result,
    )


class _Reading:
    def __init__(self, name: str, source: Callable[..., Any]) -> None:
        self._name = name
        self._source = source
        self._compiler = Compiler()

    def codec_of(self, name: str, annotation: Any) -> Codec:
        if annotation is _EMPTY:
            return ANYTHING
        try:
            evaluated = self._evaluated(name, annotation)
            return self._compiler.codec_of(_awaited(evaluated) if name == "return" else evaluated)
        except NOT_DEFINED:
            raise
        except Unsupported as error:
            reason = str(error)
        except Exception as error:  # An annotation that is text may raise anything when Python reads it.
            reason = f"it cannot be read ({type(error).__name__}: {error})"
        raise InvalidJobDefinition(
            f"{self._name}: the annotation of {_words(name)} is {written(annotation)}, which no job has: {reason}."
        )

    def _evaluated(self, name: str, annotation: Any) -> Any:
        type_parameters = getattr(self._source, "__type_params__", ())
        hints = typing.get_type_hints(
            SimpleNamespace(__annotations__={name: annotation}),
            globalns=self._source.__globals__,
            localns={parameter.__name__: parameter for parameter in type_parameters},
            include_extras=True,
        )
        return hints[name]


def _awaited(annotation: Any) -> Any:
    """Return what a handler's result is once it is awaited; of one that never returns, None."""
    if annotation in (typing.NoReturn, typing.Never):
        return None
    if typing.get_origin(annotation) in (Awaitable, Coroutine):
        return typing.get_args(annotation)[-1]
    return annotation


def _words(name: str) -> str:
    return "the result" if name == "return" else name
