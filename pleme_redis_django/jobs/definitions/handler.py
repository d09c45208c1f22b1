"""What the function of a job may be, and what it takes."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pleme_redis_django.exceptions import InvalidJobDefinition

ATOMIC_IS_SYNC = (
    "atomic=True is for plain functions, and it is async: Django has no transactions there. Make it a def."
)
ISOLATED_IS_SYNC = (
    "isolated=True is for plain functions, and it is async: those share one event loop. Make it a def, which may "
    "call asyncio.run()."
)
DECORATED = (
    " The function is decorated: where the decorator gives an argument itself, have what it returns say what "
    "is left, by parameters of its own or by __signature__."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """What a function takes when a worker calls it."""

    signature: inspect.Signature
    """The signature of its own parameters, without the one that the worker passes."""
    takes_context: bool
    context_name: str | None

    @property
    def parameters(self) -> list[inspect.Parameter]:
        return list(self.signature.parameters.values())


def handler_of(
    function: Callable[..., Any], context_parameter: str | None, *, takes_context: bool
) -> Handler:
    """Return what a function takes; a first parameter named ``context_parameter`` is given the context."""
    signature = _signature_of(function)
    parameters = list(signature.parameters.values())
    takes_context = takes_context or bool(parameters and parameters[0].name == context_parameter)
    return Handler(
        signature=signature.replace(parameters=parameters[1:]) if takes_context else signature,
        takes_context=takes_context,
        context_name=parameters[0].name if takes_context and parameters else None,
    )


def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of what is called: a wrapper's own where it names its parameters.

    One that takes ``*args, **kwargs`` passes them on, and takes what the function in it takes.
    """
    own = _signature(function, follow_wrapped=False)
    return _signature(function) if _passes_on(own) else own


def annotations_of(
    function: Callable[..., Any], handler: Handler, *, read: bool
) -> tuple[Callable[..., Any], inspect.Signature]:
    """Return the signature whose annotations are read, and the function in whose module their names are defined."""
    if not read:
        return function, inspect.Signature()
    passes_on = _passes_on(_signature(function, follow_wrapped=False))
    return inspect.unwrap(function) if passes_on else function, handler.signature


def _passes_on(signature: inspect.Signature) -> bool:
    return any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature.parameters.values())


def _signature(function: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        # An annotation may name what its module defines further down.
        return inspect.signature(function, follow_wrapped=follow_wrapped, annotation_format=Format.FORWARDREF)
    return inspect.signature(function, follow_wrapped=follow_wrapped)


def check_function(function: object) -> None:
    """Raise InvalidJobDefinition for a function that a worker could not find by its name, or could not call."""
    if not inspect.isfunction(function):
        raise InvalidJobDefinition(
            f"@job got {function!r}. Accepted: a module-level function, sync or async."
        )
    if "<locals>" in function.__qualname__ or "." in function.__qualname__ or function.__name__ == "<lambda>":
        raise InvalidJobDefinition(
            f"{function.__qualname__} is not at the top level of its module, so a worker could not find it by name. "
            "Move it there."
        )
    if function.__module__ == "__main__" and _main_name() is None:
        raise InvalidJobDefinition(
            f"{function.__qualname__} is defined in the program that was started (__main__), where no worker finds "
            "it. Move it into a module, such as the jobs.py of an app, and import it."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidJobDefinition(
            f"{function.__qualname__} is a generator. Return the result; report with ctx.progress()."
        )


def sync_only(*, atomic: bool | None, isolated: bool | None) -> str:
    """Return why these options are refused for an async handler; "": they are not."""
    return (atomic and ATOMIC_IS_SYNC) or (isolated and ISOLATED_IS_SYNC) or ""


def check_sync_only(function: Callable[..., Any], *, atomic: bool | None, isolated: bool | None) -> None:
    """Raise InvalidJobDefinition for an async function with an option that is for plain ones."""
    if inspect.iscoroutinefunction(function) and (refusal := sync_only(atomic=atomic, isolated=isolated)):
        raise InvalidJobDefinition(f"{function.__qualname__}: {refusal}")


def check_passed_by_name(function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
    """Raise InvalidJobDefinition for a parameter that cannot be passed by name."""
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise InvalidJobDefinition(
                f"{function.__qualname__} has the parameter {parameter}, which cannot be passed by name, "
                "and a job's parameters are stored by name. Make it a keyword parameter."
            )


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a job that is not given one; a worker finds the function by it."""
    return f"{_module_of(function)}.{function.__qualname__}"


def _module_of(function: Callable[..., Any]) -> str:
    """Return the name by which a worker imports the function's module."""
    return _main_name() or function.__module__ if function.__module__ == "__main__" else function.__module__


def _main_name() -> str | None:
    """Return the real name of the module that was started with ``python -m``; None: it has none."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return None if spec is None else spec.name
