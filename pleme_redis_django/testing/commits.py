"""as_if_committed: a block that a test runs in its transaction, and that behaves as in autocommit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import DatabaseError, connections


@contextmanager
def as_if_committed() -> Iterator[None]:
    """Behave as a worker's connections do, on every connection that is inside a transaction.

    A database error in the block rolls back only the block, not the rest of the test's transaction; what the
    block leaves to ``on_commit()`` runs at its end. Outside of a transaction nothing is added.
    """
    with ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block:
                stack.enter_context(_as_if_committed(connection))
        yield


@contextmanager
def _as_if_committed(connection: Any) -> Iterator[None]:
    hooks_before = len(connection.run_on_commit)
    savepoint = connection.savepoint()
    yield
    if not _keep(connection, savepoint):
        return
    hooks = connection.run_on_commit[hooks_before:]
    del connection.run_on_commit[hooks_before:]
    for _savepoints, function, *_robust in hooks:
        function()


def _keep(connection: Any, savepoint: str | None) -> bool:
    """Release the savepoint; where an error has broken the transaction, go back to it instead."""
    if not connection.needs_rollback:
        try:
            connection.savepoint_commit(savepoint)
        except DatabaseError:
            connection.needs_rollback = True
        else:
            return True
    connection.needs_rollback = False
    connection.savepoint_rollback(savepoint)
    return False
