"""Standing: the user, session and product of a socket, as they were at its last revalidation."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.realtime.sessions import login_session_key


class Standing:
    """The scope of a socket with its user and session; a check loads both again, and the newest check counts."""

    __slots__ = ("_looks", "judged", "scope", "session_key")

    def __init__(self, scope: dict[str, Any], user_id: str | None) -> None:
        self.scope = scope
        self.session_key = login_session_key(scope, user_id)
        """The session that logged the user in: the socket ends with it."""
        self.judged = 0
        """How often user, session and product were checked again: it says how old a permission is."""
        self._looks = 0

    @property
    def user(self) -> Any:
        """The user, as last loaded."""
        return self.scope["user"]

    def begin_look(self) -> int:
        """Return the number of a check of user and session that begins now."""
        self._looks += 1
        return self._looks

    def is_newest(self, look: int) -> bool:
        """Return whether the result of a check still counts: one that began later has loaded newer values."""
        return look == self._looks

    def become(self, user: Any, session: Any) -> None:
        """Use this user and session, as they are stored now, from now on."""
        self.scope["user"] = user
        if session is not None:
            self.scope["session"] = session
        self.judged += 1
