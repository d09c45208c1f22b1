"""The error tree: every exception that the package raises on purpose.

A few more stay within the module's own zone, where they become a text: of a search typed into the admin, of a socket.

Nothing here imports Django or Redis, so that the engine can raise them too. Fields are typed; a
message says what happened, the offending value, what is accepted and the next step, and no code
has to parse it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID


class PlemeError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidSettings(PlemeError):
    """A value in ``PLEME_REDIS`` or in a pool's configuration is unknown or out of range."""


class InvalidName(PlemeError, ValueError):
    """A name (queue, channel, lock, key) has a form that is not accepted."""


class InvalidProduct(InvalidName):
    """A product name does not have the form ``[a-z0-9][a-z0-9-]{0,49}``, or none was given."""


# Enqueueing


class EnqueueError(PlemeError):
    """A job was refused before anything was written."""


class UnknownJobType(EnqueueError):
    """No ``@job`` of that name is registered in this process."""


class InvalidJobDefinition(PlemeError, TypeError):
    """``@job`` was given a function or an option that it cannot accept."""


class InvalidSchedule(PlemeError, ValueError):
    """A schedule is refused: its times, its zone, a policy, or what it gives to its job."""


class ScheduleNotFound(PlemeError):
    """No schedule of the product has this name."""


class UniqueSlotContended(EnqueueError):
    """A unique job could neither be inserted nor be found, three times in a row."""


class WrongTransaction(EnqueueError):
    """An enqueue inside another database's atomic block: a rollback there would not undo it."""


# Executing


class WorkerPoolBroken(PlemeError):
    """An error that nobody expected has ended a thread of the pool, which has drained; the cause is that error."""


class ExecutorError(PlemeError):
    """Base of what an executor may raise to say how its attempt ended.

    ``error_code`` is stored in ``error_details`` and groups failures in the monitoring queries.
    """

    error_code = "execution_failed"
    retryable = True

    def __init__(self, message: str = "", *, error_code: str | None = None) -> None:
        super().__init__(message)
        if error_code is not None:
            self.error_code = error_code


class ExecutionFailed(ExecutorError):
    """The work failed; another attempt may succeed."""


class ProviderError(ExecutorError):
    """A service that the work depends on failed; another attempt may succeed."""

    error_code = "provider_error"


class InvalidParameters(ExecutorError, EnqueueError):
    """The parameters can never work: refused at enqueue, never retried in a worker."""

    error_code = "invalid_parameters"
    retryable = False
    parameter: str | None = None
    """The name of the parameter whose value its annotation does not accept; None: another fault."""


#: The name that the reference design uses. The package root does not export it: it would shadow Django's.
ValidationError = InvalidParameters


class BrokenMiddleware(ExecutorError, EnqueueError):
    """A job middleware does not keep to what it is asked: it did not call on, did so twice, or returned nothing."""

    error_code = "broken_middleware"


class EncryptionKeyMissing(ExecutorError):
    """A row holds what was encrypted with a key that this process lacks; once the key is back, it can be read."""

    error_code = "encryption_key_missing"


class JobCancelled(ExecutorError):
    """The handler stopped because its job was cancelled; the job ends CANCELLED."""

    error_code = "cancelled"
    retryable = False


class Discard(ExecutorError):
    """The handler says that its job is pointless: it ends CANCELLED with this reason, and is not retried."""

    error_code = "discarded"
    retryable = False


MAX_DELAY_SECONDS = 31_536_000
"""A year: the longest delay that a handler, a function or a job model may name."""


class Snooze(ExecutorError):
    """The job is to run again in ``seconds``: it has not failed, so no retry is used and no failure is kept."""

    error_code = "snoozed"

    def __init__(self, seconds: float, message: str = "", *, error_code: str | None = None) -> None:
        self.seconds = _checked_delay("Snooze", seconds)
        super().__init__(message or f"Put off for {seconds:g} s.", error_code=error_code)


class RetryAfter(ExecutorError):
    """The attempt failed, and the next one is to start in ``seconds``, whatever the backoff says."""

    error_code = "retry_after"

    def __init__(self, seconds: float, message: str = "", *, error_code: str | None = None) -> None:
        self.seconds = _checked_delay("RetryAfter", seconds)
        super().__init__(message or f"To be tried again in {seconds:g} s.", error_code=error_code)


def _checked_delay(name: str, seconds: object) -> float:
    # False for NaN too.
    if isinstance(seconds, int | float) and type(seconds) is not bool and 0 <= seconds <= MAX_DELAY_SECONDS:
        return float(seconds)
    # Python refuses to print the decimal digits of a huge integer.
    shown = hex(seconds) if isinstance(seconds, int) else repr(seconds)
    raise InvalidNumber(
        f"{name}(seconds={shown[:40]}). Accepted: a number of seconds from 0 to {MAX_DELAY_SECONDS:,} (a year)."
    )


class JobTimeout(BaseException):
    """Raised in a handler that runs for longer than its ``timeout``; an ``except Exception`` does not catch it."""

    error_code = "timeout"


class AttemptLost(ExecutorError):
    """A later attempt of the job has written what this one was about to; the later one counts."""

    error_code = "attempt_lost"
    retryable = False


class InvalidResult(ExecutorError):
    """The handler returned what cannot be stored; another attempt would return it again."""

    error_code = "invalid_result"
    retryable = False


# Storing


class StoreError(PlemeError):
    """The job store could not do what it was asked to."""


class JobNotFound(StoreError):
    """No job has this id, or it was deleted."""

    def __init__(self, job_id: object) -> None:
        super().__init__(f"No job has the id {job_id}, or it was deleted.")
        self.job_id = job_id


class ScheduleMoved(StoreError):
    """Another process fired the schedule at the same moment, without row locks: what this one did is undone."""


class NotJson(PlemeError, ValueError):
    """A value cannot be stored as JSON and read back the same; the message says where and why."""


class BadEnding(StoreError):
    """An ending in a batch can never be written, whatever is tried; nothing of the batch was."""


class LockedJobs(StoreError):
    """The rows of some jobs are locked by another transaction, so that nothing of them can be written now."""

    def __init__(self, job_ids: Iterable[UUID], pids: Sequence[int] = ()) -> None:
        self.job_ids = frozenset(job_ids)
        whose = f", of the database's process {', '.join(map(str, pids))}," if pids else ""
        super().__init__(
            f"Another transaction{whose} holds the rows of {len(self.job_ids)} job(s): they are written once it has "
            "ended."
        )


class LockedTable(StoreError):
    """Another transaction holds all rows at once: no single ending is at fault, and all of them wait."""


class DoubtfulEndings(StoreError):
    """The store answered and refused a batch, maybe for one of its endings: a deadlock, a limit of time.

    The batch is written again; when that keeps failing, the endings are parted to find the one.
    """


class JobWaitTimeout(PlemeError, TimeoutError):
    """The job that somebody waited for has not ended in that time; it goes on."""


class JobUnsuccessful(PlemeError):
    """The job that somebody waited for ended FAILED or CANCELLED; ``error_code`` is None where nothing failed."""

    def __init__(self, message: str, *, status: str, error_code: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


# Redis


class RedisUnavailable(PlemeError):
    """Redis did not answer. The durable side goes on without it."""


class RedisNotConfigured(RedisUnavailable):
    """``PLEME_REDIS["URL"]`` is None, and what was asked for lives in Redis."""


# Locks


class InvalidNumber(PlemeError, ValueError):
    """A duration, a limit or a size is not a number in the accepted range."""


class LockBusy(PlemeError):
    """Somebody else held the lock, or every permit, for the whole time that the caller could wait.

    ``remaining_seconds`` is how long the holder's claim lasts unless it is renewed or released;
    ``holder_host``, ``holder_pid`` and ``holder_job_id`` are None when the holder is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str,
        remaining_seconds: float,
        holder_host: str | None = None,
        holder_pid: int | None = None,
        holder_job_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.remaining_seconds = remaining_seconds
        self.holder_host = holder_host
        self.holder_pid = holder_pid
        self.holder_job_id = holder_job_id


class LockLost(PlemeError):
    """The lock expired, was taken away, or a later holder has written: the work was not exclusive."""

    def __init__(self, message: str, *, name: str) -> None:
        super().__init__(message)
        self.name = name


class FenceFieldMissing(PlemeError, TypeError):
    """The model of a fenced write has no 64-bit integer field to keep the last fence in."""


# Cache


class UncacheableValue(PlemeError, TypeError):
    """A value is of a type that would not come back from the cache equal and of the same type."""


class ValueTooLarge(PlemeError, ValueError):
    """A value is larger than ``PLEME_REDIS["CACHE_MAX_VALUE_BYTES"]``; nothing was stored."""

    def __init__(self, message: str, *, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class NotACounter(PlemeError, ValueError):
    """``incr`` met an entry that is missing, is not a whole number, carries tags, or would reach 2^53."""


# Testing


class ServerUnavailable(PlemeError):
    """No PostgreSQL or Redis could be found or started for the tests or the demo."""


# Realtime


class InvalidEvent(PlemeError, ValueError):
    """An event, or a connection's metadata, is not JSON, is nested past 100 levels, or is larger than the limit."""


class PresenceRefused(PlemeError):
    """A connection may not join: ``reason`` says which limit was reached, or that its id is taken."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
