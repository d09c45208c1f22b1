"""Codecs of pydantic's models and dataclasses. pydantic is only imported if the project has imported it already."""

from __future__ import annotations

import functools
import json
from importlib import import_module
from typing import Any

from pleme_redis_django.jobs.definitions.codecs.codec import FORMS, Codec


def is_of_pydantic(annotation: object) -> bool:
    """Whether pydantic validates the values of a class."""
    return isinstance(annotation, type) and hasattr(annotation, "__pydantic_validator__")


def pydantic_codec(kind: type[Any]) -> Codec:
    """Return the codec of a model: it is stored as ``model_dump(mode="json", by_alias=True)`` says."""

    @functools.cache
    def adapter() -> Any:
        # At the first value: a model may name others that are not defined yet.
        return import_module("pydantic").TypeAdapter(kind)

    def encode(value: Any) -> Any:
        if type(value) is not kind:
            codec.refuse(value)
        try:
            return adapter().dump_python(value, mode="json", by_alias=True, round_trip=True, warnings="error")
        except Exception as error:  # Serializers of the project may raise anything.
            codec.refuse(
                value, f"is not a {kind.__name__} that JSON can hold ({type(error).__name__}: {error})"
            )

    def decode(stored: Any) -> Any:
        try:
            # From JSON text: a strict model accepts a datetime there, but not as a str of Python.
            return adapter().validate_json(json.dumps(stored))
        except Exception as error:
            codec.refuse_stored(stored, f"is not a valid {kind.__name__} ({_first_fault(error)})")

    codec = Codec(
        annotation=kind.__qualname__,
        accepts=f"a {kind.__qualname__}, not one of a subclass",
        reads=f"what {kind.__qualname__} reads",
        encode=encode,
        decode=decode,
        forms=FORMS
        if hasattr(kind, "__pydantic_root_model__") and kind.__pydantic_root_model__
        else frozenset({dict}),
        types=(kind,),
    )
    return codec


def _first_fault(error: Exception) -> str:
    """Return the first fault of a ValidationError, with its place."""
    faults: list[Any] = error.errors() if hasattr(error, "errors") else []
    if not faults:
        return f"{type(error).__name__}: {error}"
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in faults[0]["loc"])
    return f"{place.lstrip('.') or 'as a whole'}: {faults[0]['msg']}"
