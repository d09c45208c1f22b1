"""How the arguments of a call become parameters stored by name, and a call again.

What ``*args`` took is stored under its name with the star, which no other parameter can have.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pleme_redis_django.exceptions import InvalidParameters

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def stored_name(parameter: inspect.Parameter) -> str:
    """Return the name under which the argument of a parameter is stored."""
    return f"*{parameter.name}" if parameter.kind is parameter.VAR_POSITIONAL else parameter.name


def required_names(parameters: Iterable[inspect.Parameter]) -> frozenset[str]:
    """Return the names without which the handler cannot be called."""
    optional = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return frozenset(p.name for p in parameters if p.default is p.empty and p.kind not in optional)


def accepted_names(parameters: Iterable[inspect.Parameter]) -> frozenset[str] | None:
    """Return the names that the handler takes; None: any."""
    listed = list(parameters)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in listed):
        return None
    return frozenset(stored_name(parameter) for parameter in listed)


def by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return bound arguments as they are stored. Raises InvalidParameters for two arguments of one name."""
    stored: dict[str, Any] = {}
    collected: Mapping[str, Any] = {}
    for name, value in bound.arguments.items():
        parameter = bound.signature.parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            collected = value
        else:
            stored[stored_name(parameter)] = (
                list(value) if parameter.kind is parameter.VAR_POSITIONAL else value
            )
    if twice := sorted(stored.keys() & collected.keys()):
        raise InvalidParameters(
            f"The arguments have {twice[0]!r} twice, by its place and by its name, and parameters are stored by name. "
            "Rename one of the two."
        )
    return stored | dict(collected)


def as_call(
    signature: inspect.Signature, parameters: Mapping[str, Any], places: int | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and the named arguments of a call with stored parameters.

    ``places``: how many of them were given by position; None: only those that cannot be given by name.
    """
    named = dict(parameters)
    listed = list(signature.parameters.values())
    if places is None:
        places = _fewest_places(listed, named)
    args: list[Any] = []
    for parameter in listed:
        name = stored_name(parameter)
        if len(args) >= places or name not in named:
            break
        if parameter.kind in _POSITIONAL:
            args.append(named.pop(name))
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(named.pop(name))
    return args, named


def _fewest_places(listed: list[inspect.Parameter], named: Mapping[str, Any]) -> int:
    places = fewest = 0
    for parameter in listed:
        if parameter.kind in _POSITIONAL:
            places += 1
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.name in named:
            fewest = places
        if parameter.kind is parameter.VAR_POSITIONAL and named.get(stored_name(parameter)):
            fewest = places + 1
    return fewest
