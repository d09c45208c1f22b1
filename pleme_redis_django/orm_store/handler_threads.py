"""The threads in which async handlers use the ORM: one for each of them, and no more than so many at once.

A handler has its thread from its first use of the ORM until it ends, and with the thread a connection to each
database that it uses. Those for which none is left wait for one, in the order in which they asked; handlers that do
not use the ORM take none.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

# In each process: an async slot costs next to nothing, and a connection is a process of the database server.
MOST_ASYNC_CONNECTIONS = 50


class HandlerThreads:
    """Hands out threads to async handlers."""

    def __init__(self, most: int = MOST_ASYNC_CONNECTIONS) -> None:
        self._free = most
        self._waiting: deque[_HandlerThread] = deque()
        # A handler may run an event loop of its own in another thread, and ask from there.
        self.lock = threading.Lock()

    @asynccontextmanager
    async def around_handler(self) -> AsyncIterator[None]:
        """Give the handler that runs in the block a thread when it uses the ORM."""
        # In one shared context the ORM calls of all handlers would queue up behind one thread.
        async with ThreadSensitiveContext() as context:
            thread = _HandlerThread(self)
            # asgiref has submitted to it what the handler asks for, and shuts it down at the end.
            SyncToAsync.context_to_thread_executor[context] = thread
            try:
                yield
            finally:
                if thread.executor is not None:
                    await sync_to_async(connections.close_all)()
                else:
                    # Most handlers do not use the ORM, and asgiref ends an executor in a thread: 0.1 ms.
                    del SyncToAsync.context_to_thread_executor[context]
                    thread.shutdown()

    def ask(self, asker: _HandlerThread) -> None:
        """Begin a thread now or, if none is left, when another handler has ended; for who holds the lock."""
        if self._free:
            self._free -= 1
            asker.begin()
        else:
            self._waiting.append(asker)

    def give_back(self, asker: _HandlerThread) -> None:
        """Let the one that has waited longest have what this one had; for who holds the lock."""
        if asker.executor is None:
            with suppress(ValueError):  # It never asked.
                self._waiting.remove(asker)
        elif self._waiting:
            self._waiting.popleft().begin()
        else:
            self._free += 1


class _HandlerThread(Executor):
    """The thread of one handler, which begins with its first call if there is one left."""

    def __init__(self, threads: HandlerThreads) -> None:
        self.executor: ThreadPoolExecutor | None = None
        self._threads = threads
        self._held_back: list[Callable[[], None]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in the thread, once there is one."""
        future: Future[Any] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        with self._threads.lock:
            if self.executor is not None:
                self.executor.submit(call)
            else:
                self._held_back.append(call)
                if len(self._held_back) == 1:
                    self._threads.ask(self)
        return future

    def begin(self) -> None:
        """Run what was held back; for who holds the lock."""
        self.executor = ThreadPoolExecutor(max_workers=1)
        for call in self._held_back:
            self.executor.submit(call)
        self._held_back.clear()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the thread, and let another handler have one."""
        if self.executor is not None:
            self.executor.shutdown(wait, cancel_futures=cancel_futures)
        with self._threads.lock:
            self._threads.give_back(self)
