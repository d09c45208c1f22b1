"""Handlers' database connections: checked before each job, and tidied up after it, in the job's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from typing import Any

from django.core.cache import caches
from django.db.backends.signals import connection_created

from pleme_redis_django.orm_store.atomic_attempts import atomic_attempt
from pleme_redis_django.orm_store.connection import forget_queries, is_pooled
from pleme_redis_django.orm_store.handler_threads import HandlerThreads


class DatabaseScope:
    """Looks after the database connections of handlers, around each job, in the job's thread."""

    def __init__(self) -> None:
        self._thread = _ThreadConnections()
        self._async_threads = HandlerThreads()
        self._by_thread: dict[int, list[Any]] = {}
        connection_created.connect(self._note_connection)

    def enter(self) -> None:
        """Have the first query of the job check that its connection still works."""
        if not self._thread.has_caches:
            # Made here, each job's own context inherits them; made in a job, they would be made in each.
            self._thread.has_caches = True
            for alias in caches:
                with suppress(Exception):  # The next use of a broken one raises.
                    caches[alias]
        for connection in self._thread.opened:
            # Django's own setting CONN_HEALTH_CHECKS, once a job instead of once a request.
            connection.health_check_enabled = True
            connection.health_check_done = False

    def leave(self, *, interrupted: bool = False) -> None:
        """Close connections that the job broke or left in a transaction; the others stay open.

        Those of a handler that was interrupted are closed, always: a statement may be in flight.
        """
        for connection in self._thread.opened:
            forget_queries(connection)
            if connection.in_atomic_block:
                # Django would keep a connection that is closed inside a block unusable until its end.
                connection.in_atomic_block = False
                connection.close()
            elif (
                interrupted
                or connection.errors_occurred
                or not connection.autocommit
                or is_pooled(connection)
            ):
                # That it still answers says little: it may have come to a server that only reads. And one out
                # of a pool is somebody else's between two jobs.
                connection.close()

    def atomic(self, job: Any) -> AbstractContextManager[Callable[[], None]]:
        """Make one transaction of what the handler writes and of its ending."""
        return atomic_attempt(job)

    def interrupted(self, thread_id: int) -> None:
        """Cancel the statements that the thread waits for: no bytecode runs there before they have ended."""
        opened = [one.connection for one in self._by_thread.get(thread_id, ()) if one.connection is not None]
        waited_for = [connection for connection in opened if hasattr(connection, "cancel")]
        if waited_for:
            # It asks the server, which may not answer, and the timer of all jobs does not wait for that.
            threading.Thread(
                target=_cancel_statements, args=(waited_for,), name="pleme-cancel", daemon=True
            ).start()

    def around_async(self) -> AbstractAsyncContextManager[None]:
        """Give an async handler a thread of its own for what it does with the ORM, if it does anything."""
        return self._async_threads.around_handler()

    def _note_connection(self, connection: Any, **_kwargs: Any) -> None:
        if connection not in self._thread.opened:
            # In this order: an interrupt between the two loses neither.
            self._by_thread[threading.get_ident()] = self._thread.opened
            self._thread.opened.append(connection)


class _ThreadConnections(threading.local):
    """The connections that a thread has opened; asking Django for them costs more than a small job."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.has_caches = False


def _cancel_statements(connections_: list[Any]) -> None:
    for connection in connections_:
        with suppress(Exception):
            connection.cancel()
