"""Handlers' database connections: checked before each job, and tidied up after it, in the job's thread."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.cache import caches
from django.db import connections
from django.db.backends.signals import connection_created

from pleme_redis_django.orm_store.connection import forget_queries, is_pooled


class DatabaseScope:
    """Looks after the database connections of handlers, around each job, in the job's thread."""

    def __init__(self) -> None:
        self._thread = _ThreadConnections()
        connection_created.connect(self._note_connection)

    def enter(self) -> None:
        """Have the first query of the job check that its connection still works."""
        if not self._thread.has_caches:
            # Made here, each job's own context inherits them; made in a job, they would be made in each.
            self._thread.has_caches = True
            for alias in caches:
                with suppress(Exception):  # Whoever uses a broken one is told then.
                    caches[alias]
        for connection in self._thread.opened:
            # Django's own setting CONN_HEALTH_CHECKS, once a job instead of once a request.
            connection.health_check_enabled = True
            connection.health_check_done = False

    def leave(self) -> None:
        """Close connections that the job broke or left in a transaction; the others stay open."""
        for connection in self._thread.opened:
            forget_queries(connection)
            if connection.in_atomic_block:
                # Django would keep a connection that is closed inside a block unusable until its end.
                connection.in_atomic_block = False
                connection.close()
            elif connection.errors_occurred or not connection.autocommit or is_pooled(connection):
                # That it still answers says little: it may have come to a server that only reads. And one out
                # of a pool is somebody else's between two jobs.
                connection.close()

    def around_async(self) -> AbstractAsyncContextManager[None]:
        """Give an async handler a thread of its own for what it does with the ORM."""
        return _own_sync_thread()

    def _note_connection(self, connection: Any, **_kwargs: Any) -> None:
        if connection not in self._thread.opened:
            self._thread.opened.append(connection)


class _ThreadConnections(threading.local):
    """The connections that a thread has opened; asking Django for them costs more than a small job."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.has_caches = False


@asynccontextmanager
async def _own_sync_thread() -> AsyncIterator[None]:
    # In one shared context the ORM calls of all handlers would queue up behind one thread.
    async with ThreadSensitiveContext() as context:
        try:
            yield
        finally:
            if context in SyncToAsync.context_to_thread_executor:
                await sync_to_async(connections.close_all)()
