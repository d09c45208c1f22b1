"""Atomic attempts: one transaction for what a handler writes and for its ending, on the job's database alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections, transaction

from pleme_redis_django.exceptions import ExecutionFailed, WrongTransaction

_READS = re.compile(r"\s*\(*\s*(SELECT|SHOW|EXPLAIN|VALUES|SET|WITH)\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


@contextmanager
def atomic_attempt(job: Any) -> Iterator[Callable[[], None]]:
    """Make one transaction of the block. Yield what the block calls once the handler has returned.

    That raises ExecutionFailed when the handler has rolled the transaction back. A write to another database, which
    no rollback here would undo, raises WrongTransaction in the handler.
    """
    using = getattr(getattr(job, "_state", None), "db", None)
    if using is None:
        raise ExecutionFailed(
            f"{job.job_type} is atomic, and a {type(job).__name__} is in no database that Django knows.",
            error_code="not_atomic",
        )
    connection: Any = connections[using]

    def check() -> None:
        if connection.needs_rollback or not connection.in_atomic_block:
            raise _rolled_back(job, using)

    with ExitStack() as stack:
        for alias in connections:
            if alias != using:
                stack.enter_context(connections[alias].execute_wrapper(_refusing_writes(job, alias, using)))
        # The inner one is a savepoint: a handler that sends a ROLLBACK of its own loses it, and cannot go on unseen.
        with transaction.atomic(using=using), transaction.atomic(using=using):
            yield check


def _rolled_back(job: Any, using: str) -> ExecutionFailed:
    return ExecutionFailed(
        f'The handler of {job.job_type} is atomic and has rolled its transaction on the database "{using}" back, so '
        "that its ending cannot commit with its writes. Wrap what may fail in a transaction.atomic() of its own, or "
        "raise.",
        error_code="rolled_back",
    )


def _refusing_writes(job: Any, alias: str, using: str) -> Callable[..., Any]:
    def refuse(execute: Callable[..., Any], sql: Any, *rest: Any) -> Any:
        text = str(sql)
        if _READS.match(text) and not (text.lstrip().upper().startswith("WITH") and _WRITES.search(text)):
            return execute(sql, *rest)
        raise WrongTransaction(
            f'The handler of {job.job_type} is atomic on the database "{using}" and writes to the database '
            f'"{alias}", where neither its ending nor a rollback of it would count. Write to "{using}" alone, or '
            "leave atomic=True out."
        )

    return refuse
