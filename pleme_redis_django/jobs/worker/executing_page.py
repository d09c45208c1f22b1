"""ExecutingPage: which attempts a process is executing, in memory that outlives the process.

A supervisor gives each child a file of memory of its own, and both map it. The child writes the job
and the attempt of every handler before it is called and wipes them after it: two copies of some
bytes, no system call. Whatever ends the child, SIGKILL included, the supervisor still has the page,
and knows what was executing, and whether the child had started, and had stopped in good order.
"""

from __future__ import annotations

import dataclasses
import enum
import mmap
import os
import struct
from typing import NamedTuple, Self
from uuid import UUID

# Version and stage of the process, padding, the id under which it claims; then the slots.
_HEAD = struct.Struct("=BB6x16s")
_STAGE_OFFSET = 1
# The attempt stands last and is wiped alone: a slot that is half written names no attempt of the job.
_SLOT = struct.Struct("=16sI")
_ATTEMPT = struct.Struct("=I")
_ATTEMPT_OFFSET = 16
_MAX_ATTEMPT = 2**32 - 1
_VERSION = 1


class JobExecuted(NamedTuple):
    """An attempt of a job."""

    job_id: UUID
    attempt: int


class Stage(enum.IntEnum):
    """How far a process has come."""

    STARTING = 0
    """It has claimed nothing yet."""
    WORKING = 1
    STOPPED = 2
    """In good order: everything it held has ended, or was given back."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeenDeath:
    """The end of a worker process, as its supervisor saw it."""

    worker_id: str
    executing: frozenset[JobExecuted] = frozenset()
    """What may have caused it; nothing when the process did not die of itself."""


class ExecutingPage:
    """A slot for each handler that may run at once; each slot has one writer."""

    def __init__(self, slots: int, worker_id: str, *, fd: int | None = None) -> None:
        size = _HEAD.size + slots * _SLOT.size
        if fd is None:
            # Nobody looks: the same writes, so that there is one way to run a job.
            self._memory: mmap.mmap | bytearray = bytearray(size)
        else:
            os.ftruncate(fd, size)
            self._memory = mmap.mmap(fd, size)
        self.note_worker(worker_id)

    def note_worker(self, worker_id: str) -> None:
        """Write under which id the process claims."""
        _HEAD.pack_into(self._memory, 0, _VERSION, self._memory[_STAGE_OFFSET], UUID(worker_id).bytes)

    def note_stage(self, stage: Stage) -> None:
        """Write how far the process has come."""
        self._memory[_STAGE_OFFSET] = stage

    def begin(self, slot: int, job_id: UUID, attempt: int) -> None:
        """Write, before its handler is called, what a slot executes."""
        _SLOT.pack_into(self._memory, _HEAD.size + slot * _SLOT.size, job_id.bytes, attempt & _MAX_ATTEMPT)

    def end(self, slot: int) -> None:
        """Wipe a slot, once its handler has returned."""
        _ATTEMPT.pack_into(self._memory, _HEAD.size + slot * _SLOT.size + _ATTEMPT_OFFSET, 0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PageSeen:
    """What a page says of a process that has ended."""

    stage: Stage
    worker_id: str | None
    """Under which id it claimed last; None: it never came so far."""
    executing: frozenset[JobExecuted]

    @classmethod
    def read(cls, fd: int) -> Self:
        """Return what the page in the file says; an empty one is of a process that had not started."""
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        if len(data) < _HEAD.size or data[0] != _VERSION:
            return cls(stage=Stage.STARTING, worker_id=None, executing=frozenset())
        _version, stage, worker_id = _HEAD.unpack_from(data)
        slots = (len(data) - _HEAD.size) // _SLOT.size
        found = _SLOT.iter_unpack(data[_HEAD.size : _HEAD.size + slots * _SLOT.size])
        return cls(
            stage=Stage(stage),
            worker_id=str(UUID(bytes=worker_id)),
            executing=frozenset(JobExecuted(UUID(bytes=job), attempt) for job, attempt in found if attempt),
        )


def new_page_file() -> int:
    """Return the descriptor of an empty file of memory, which no path leads to."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pleme-executing")
    import tempfile  # A megabyte, and Linux needs none of it.

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
