"""OpenSockets: the sockets of a process, by id and by user, and those that have not sent ``connect``."""

from __future__ import annotations

from pleme_redis_django.realtime.connection import Connection
from pleme_redis_django.realtime.control import Control


class OpenSockets:
    """Kept by a hub."""

    def __init__(self) -> None:
        self.by_id: dict[str, Connection] = {}
        self._by_user: dict[str | None, dict[Connection, None]] = {}
        self._silent: dict[Connection, None] = {}
        """Anonymous sockets that have not sent ``connect``, the oldest first."""

    def add(self, connection: Connection) -> None:
        self.by_id[connection.id] = connection
        self._by_user.setdefault(connection.user_id, {})[connection] = None

    def remove(self, connection: Connection) -> bool:
        """Remove a socket; return whether it was here."""
        if self.by_id.pop(connection.id, None) is None:
            return False
        self._silent.pop(connection, None)
        of_user = self._by_user.get(connection.user_id, {})
        of_user.pop(connection, None)
        if not of_user:
            self._by_user.pop(connection.user_id, None)
        return True

    def of_user(self, user_id: str) -> list[Connection]:
        return list(self._by_user.get(user_id, ()))

    def concerned_by(self, control: Control) -> list[Connection]:
        candidates = self.by_id.values() if control.user_id is None else self.of_user(control.user_id)
        return [each for each in candidates if each.is_meant_by(control)]

    def register(self, connection: Connection) -> None:
        """Note that a socket sent ``connect``, or need not."""
        connection.is_registered = True
        self._silent.pop(connection, None)

    def one_too_many(self, newest: Connection) -> Connection | None:
        """Return which socket to close if, with the newest, too many have not sent ``connect``.

        Those count nowhere else. Of a user's sockets, it is the newest. Of anonymous ones it is the oldest: nobody
        knows whose they are, and a good client sends it at once.
        """
        if newest.user_id is not None:
            waiting = sum(not each.is_registered for each in self.of_user(newest.user_id))
            return newest if waiting > newest.limits.connections_per_user else None
        self._silent[newest] = None
        if len(self._silent) <= newest.limits.silent_anonymous:
            return None
        oldest = next(iter(self._silent))
        del self._silent[oldest]
        return oldest
