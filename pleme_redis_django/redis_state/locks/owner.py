"""The holder of a lock: host, process, job and the lock's name, as the JSON stored with the token."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from functools import lru_cache

from pleme_redis_django.jobs.interface.context import current_job_context

_encode = json.JSONEncoder().encode


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LockOwner:
    """The process that took a lock, and the job that it was running (None outside a job)."""

    name: str
    host: str
    pid: int
    job_id: str | None = None

    def __str__(self) -> str:
        job = f", job {self.job_id}" if self.job_id else ""
        return f"process {self.pid} on {self.host}{job}"


def encode_owner(name: str) -> str:
    """Return this process as owner JSON: ``{"h": host, "p": pid, "j": job id, "n": lock name}``.

    ``j`` is only there if a job's handler asks.
    """
    context = current_job_context()
    job = f',"j":"{context.job.id}"' if context else ""
    return f'{{{_process(os.getpid())}{job},"n":{_encode(name)}}}'


def decode_owner(raw: bytes | None) -> LockOwner | None:
    """Return the owner that ``encode_owner`` wrote; None if there is none, or it cannot be read."""
    try:
        fields = json.loads(raw or b"")
        return LockOwner(
            name=str(fields["n"]), host=str(fields["h"]), pid=int(fields["p"]), job_id=fields.get("j")
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@lru_cache(maxsize=2)  # by pid: a fork is another owner
def _process(pid: int) -> str:
    return f'"h":{json.dumps(socket.gethostname())},"p":{pid}'
