"""Places and turns that jobs have left because somebody changed or deleted them: who waits for them goes on.

FlowControl lets them in. It is bound when the app is ready, as the dialects are, so that an operation does not stand
on all that a claim stands on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pleme_redis_django.orm_store.flow.gates import Limited
from pleme_redis_django.orm_store.job_table import JobTable


class LetsIn(Protocol):
    """Lets in who waits for what jobs have left, and returns the queue names of those it made ready."""

    def __call__(self, table: JobTable[Any], left: Sequence[Limited]) -> list[str]: ...


_bound: list[LetsIn] = []


def bind_flow_control(lets_in: LetsIn) -> None:
    """Say who lets others in."""
    _bound[:] = [lets_in]


def let_others_in(table: JobTable[Any], left: Sequence[Limited]) -> list[str]:
    """Let in who waits for what these jobs have left; return the queue names of those that are ready now."""
    return _bound[0](table, left)
