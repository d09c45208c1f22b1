"""From an exception to a bounded, storable Failure, and whether it is worth a retry."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType

from pleme_redis_django.exceptions import ExecutorError, JobTimeout
from pleme_redis_django.jobs.interface.endings import Failure
from pleme_redis_django.jobs.interface.json_text import storable_text

MESSAGE_MAX_BYTES = 64 * 1024
TRACEBACK_MAX_BYTES = 64 * 1024
CODE_MAX_BYTES = 100
CLASS_MAX_BYTES = 300
WORKER_DIED = "worker_died"
"""The code of an attempt whose process died while it ran."""
HIDDEN_NOTICE = "the message is not kept, because the parameters of the job are encrypted."
EXPIRED = "expired"
"""The code of a job that did not start by its deadline."""
EXPIRED_NOTICE = "The job was not started by its deadline, and does not run any more."
_TRACEBACK_MAX_FRAMES = 60
_TRACEBACK_MAX_ERRORS = 10
_TRACEBACK_HEADER = "Traceback (most recent call last):\n"

# Wrong input stays wrong: named by text, because the engine imports neither library.
_NEVER_RETRIED = frozenset(
    {"django.core.exceptions.ValidationError", "pydantic_core._pydantic_core.ValidationError"}
)


Kinds = Collection[type[BaseException] | str]
"""Exception classes, or their dotted paths."""


def failure_of(error: BaseException, job_type: str) -> Failure:
    """Return what is kept of ``error``; never raises, whatever its ``__str__`` does."""
    return Failure(
        message=storable_text(_message_of(error), max_bytes=MESSAGE_MAX_BYTES),
        error_code=_code_of(error),
        exception_class=storable_text(_class_path(type(error)), max_bytes=CLASS_MAX_BYTES),
        traceback=storable_text(_traceback_of(error), max_bytes=TRACEBACK_MAX_BYTES),
        fingerprint=_fingerprint(job_type, error),
        exception=error,
    )


def hidden_failure_of(error: BaseException, job_type: str) -> Failure:
    """Return what is kept of ``error`` where its words may quote what is to stay hidden: what it is, and from where."""
    kind = storable_text(_class_path(type(error)), max_bytes=CLASS_MAX_BYTES)
    return Failure(
        message=f"{type(error).__name__}: {HIDDEN_NOTICE}",
        error_code=_code_of(error),
        exception_class=kind,
        traceback=storable_text(_places_of(error), max_bytes=TRACEBACK_MAX_BYTES),
        fingerprint=_fingerprint(job_type, error),
    )


def engine_failure(error_code: str, message: str, job_type: str) -> Failure:
    """Return a failure that the engine itself states, without an exception."""
    return Failure(
        message=message,
        error_code=error_code,
        exception_class="",
        traceback="",
        fingerprint=_digest(job_type, error_code),
    )


def is_retryable(error: BaseException, retry_on: Kinds = (), no_retry_on: Kinds = ()) -> bool:
    """Whether another attempt may help: ``no_retry_on`` wins, then ``retry_on``, then the kind.

    In a group of exceptions, as a TaskGroup raises it, those inside are asked: one that stays wrong is enough.
    """
    errors = [error, *leaves_of(error)]
    if any(_is_one_of(one, no_retry_on) for one in errors):
        return False
    if any(_is_one_of(one, retry_on) for one in errors):
        return True
    return all(_is_retryable_kind(one) for one in errors)


def _is_one_of(error: BaseException, kinds: Kinds) -> bool:
    if any(isinstance(error, kind) for kind in kinds if not isinstance(kind, str)):
        return True
    # By name: what was raised has been imported, and what a row names need not be.
    return any(_class_path(kind) in kinds for kind in type(error).__mro__)


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the exceptions inside a group, however deep; the error itself when it is not a group."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    found: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += reversed(one.exceptions)
        else:
            found.append(one)
    return found


def _is_retryable_kind(error: BaseException) -> bool:
    if isinstance(error, ExecutorError):
        return error.retryable
    return not any(_class_path(kind) in _NEVER_RETRIED for kind in type(error).__mro__)


def _message_of(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except BaseException:
        return f"{type(error).__name__} (its message could not be read)"


def _code_of(error: BaseException) -> str:
    code = type(error).__name__
    if isinstance(error, ExecutorError | JobTimeout):
        with suppress(BaseException):
            code = str(error.error_code)
    return storable_text(code, max_bytes=CODE_MAX_BYTES)


def _class_path(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _traceback_of(error: BaseException) -> str:
    try:
        # No source text of locals, and a bound on the frames: a deep recursion has thousands.
        formatted = traceback.TracebackException.from_exception(error, limit=-_TRACEBACK_MAX_FRAMES)
        return "".join(formatted.format())
    except BaseException:
        return f"{_class_path(type(error))} (its traceback could not be formatted)"


def _places_of(error: BaseException) -> str:
    """Return the traceback of an error and of those that led to it, without their messages and notes."""
    parts: list[str] = []
    following: BaseException | None = error
    while following is not None and len(parts) < _TRACEBACK_MAX_ERRORS:
        with suppress(BaseException):
            places = traceback.extract_tb(following.__traceback__, limit=-_TRACEBACK_MAX_FRAMES)
            parts.append("".join([_TRACEBACK_HEADER, *places.format(), _class_path(type(following))]))
        context = None if following.__suppress_context__ else following.__context__
        following = following.__cause__ or context
    return "\n\n".join(reversed(parts))


def _fingerprint(job_type: str, error: BaseException) -> str:
    return _digest(job_type, _class_path(type(error)), _raising_line(error.__traceback__))


def _raising_line(trace: TracebackType | None) -> str:
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{code.co_filename}:{code.co_name}:{trace.tb_lineno}"


def _digest(*parts: str) -> str:
    text = "\n".join(parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def note(error: BaseException | None, text: str) -> None:
    """Have the traceback of an attempt say something."""
    with suppress(Exception):
        if error is not None:
            error.add_note(text)
