"""The thread of a worker process that sweeps presence while the process is elected for it."""

from __future__ import annotations

import logging
import threading

from django.db import close_old_connections

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.presence.sweep import PresenceSweeper

PAUSE_AFTER_FAILURE_SECONDS = 5.0

logger = logging.getLogger("pleme_redis_django.presence_watch")


class PresenceWatch:
    """Beside the pool, whose maintenance must not wait for Redis. Receivers of user_offline run in it."""

    def __init__(self, worker_id: str) -> None:
        self._sweeper = PresenceSweeper(worker_id)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pleme-presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread without waiting for it: each sweep is one script, done or not."""
        self._stopping.set()

    def _run(self) -> None:
        delay = 0.0
        while not self._stopping.wait(delay):
            delay = self._step()

    def _step(self) -> float:
        try:
            return self._sweeper.step()
        except RedisUnavailable as error:
            # The pool's own warning tells of the outage; web processes sweep too.
            logger.debug("Presence is not swept: %s", error)
        except Exception:
            logger.exception("Sweeping presence failed.")
        finally:
            close_old_connections()
        return PAUSE_AFTER_FAILURE_SECONDS
