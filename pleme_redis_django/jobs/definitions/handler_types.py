"""HandlerTypes: what the annotations of a handler say of its parameters and of its result.

The codecs are made once, when the handler is declared; where an annotation names what is defined further down in
its module, at the first use. A parameter without an annotation, or of Any, is JSON as it is, and so is a result
without one, or of None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pleme_redis_django.exceptions import InvalidJobDefinition, InvalidParameters, InvalidResult
from pleme_redis_django.jobs.definitions.codecs.codec import Codec, Mismatch

# A name that is defined further down in its module, or in a module that is still being imported.
NOT_DEFINED = (NameError, AttributeError)


class StoredResult(Protocol):
    """What ``result_of`` reads of a job."""

    @property
    def job_type(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def results(self) -> Any: ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Codecs:
    """What the annotations of one handler say."""

    parameters: dict[str, Codec]
    others: Codec | None
    """Of what ``**kwargs`` collects; None: JSON as it is."""
    result: Codec | None
    """None: a result is JSON as it is."""


class HandlerTypes:
    """``read`` makes the codecs; ``module`` is that of the function that has the annotations."""

    __slots__ = ("_codecs", "_module", "_name", "_others", "_read", "result")

    def __init__(self, name: str, read: Callable[[], Codecs], *, module: str) -> None:
        self._name = name
        self._read = read
        self._module = module
        self._codecs: dict[str, Codec] | None = None
        self._others: Codec | None = None
        self.result: Codec | None = None
        """Known once parameters were encoded or decoded."""

    def prepare(self) -> bool:
        """Make the codecs where they are not made yet; return whether all that the annotations name is defined by now.

        Raises InvalidJobDefinition for an annotation that has no codec.
        """
        try:
            if self._codecs is None:
                self._taken_in()
        except NOT_DEFINED:
            return False
        return True

    def read(self) -> None:
        """Make the codecs. Raises InvalidJobDefinition where an annotation cannot be read, or has no codec."""
        if self._codecs is None:
            self._made()

    def encoded(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return arguments as they are stored. Raises InvalidParameters for one that its annotation does not accept."""
        codecs = self._codecs if self._codecs is not None else self._made()
        if not codecs and self._others is None:
            return given
        changed: dict[str, Any] = {}
        for name, value in given.items():
            codec = codecs.get(name, self._others)
            if codec is not None and type(value) is not codec.as_is:
                try:
                    changed[name] = codec.encode(value)
                except Mismatch as mismatch:
                    raise _of(name, self._refused(name, mismatch)) from None
                except RecursionError:
                    raise _of(name, self._endless(name)) from None
        return given | changed if changed else given

    def decoded(self, stored: dict[str, Any]) -> dict[str, Any]:
        """Return stored parameters as the handler takes them. Raises InvalidParameters where they no longer fit."""
        codecs = self._codecs if self._codecs is not None else self._made()
        if not codecs and self._others is None:
            return stored
        changed: dict[str, Any] = {}
        for name, value in stored.items():
            codec = codecs.get(name, self._others)
            if codec is not None and type(value) is not codec.as_is:
                try:
                    changed[name] = codec.decode(value)
                except Mismatch as mismatch:
                    raise _of(name, self._refused_stored(name, mismatch)) from None
                except RecursionError:  # A row that was not written by an enqueue.
                    raise _of(name, self._endless(name)) from None
        return stored | changed if changed else stored

    def encoded_result(self, value: Any) -> Any:
        """Return a result as it is stored. Raises InvalidResult for one that the annotation does not accept."""
        codec = self._result_codec()
        try:
            return value if codec is None else codec.encode(value)
        except Mismatch as mismatch:
            raise InvalidResult(self._refused("result", mismatch)) from None
        except RecursionError:
            raise InvalidResult(self._endless("result")) from None

    async def aencoded_result(self, value: Awaitable[Any]) -> Any:
        """Return the result of an async handler as it is stored."""
        return self.encoded_result(await value)

    def decoded_result(self, stored: Any) -> Any:
        """Return a stored result as the handler returned it. Raises InvalidResult where it no longer fits."""
        codec = self._result_codec()
        try:
            return stored if codec is None else codec.decode(stored)
        except Mismatch as mismatch:
            raise InvalidResult(self._refused_stored("result", mismatch)) from None

    def _result_codec(self) -> Codec | None:
        self.read()
        return self.result

    def _made(self) -> dict[str, Codec]:
        try:
            return self._taken_in()
        except NOT_DEFINED as error:
            raise InvalidJobDefinition(
                f"{self._name}: an annotation cannot be read: {error}. What it names has to be there when the program "
                f"runs: define it in {self._module}, or import it there outside of `if TYPE_CHECKING:`."
            ) from None

    def _taken_in(self) -> dict[str, Codec]:
        codecs = self._read()
        # Last what other threads look at first.
        self._others, self.result, self._codecs = codecs.others, codecs.result, codecs.parameters
        return codecs.parameters

    def _refused(self, name: str, mismatch: Mismatch) -> str:
        return (
            f"{self._name}: {name}{mismatch.path} {mismatch.problem}, and its annotation is {mismatch.annotation}. "
            f"Accepted: {mismatch.accepted}."
        )

    def _refused_stored(self, name: str, mismatch: Mismatch) -> str:
        return (
            f"{self._name}: the stored {name}{mismatch.path} {mismatch.problem}, and its annotation is "
            f"{mismatch.annotation}. Accepted: {mismatch.accepted}. Have the annotation accept what was stored before "
            "it changed, or enqueue the job anew."
        )

    def _endless(self, name: str) -> str:
        return f"{self._name}: {name} is nested too deeply, or contains itself. Accepted: what JSON can nest."


def _of(parameter: str, message: str) -> InvalidParameters:
    error = InvalidParameters(message)
    error.parameter = parameter
    return error
