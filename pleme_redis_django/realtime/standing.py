"""Standing: the user, session and product of a socket, as they were at its last revalidation."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.realtime.sessions import login_session_key


class Standing:
    """The scope of a socket with its user and session; a look loads both anew, and the newest look counts."""

    __slots__ = ("_looks", "judged", "scope", "session_key")

    def __init__(self, scope: dict[str, Any], user_id: str | None) -> None:
        self.scope = scope
        self.session_key = login_session_key(scope, user_id)
        """The session that logged the user in: the socket ends with it."""
        self.judged = 0
        """How often user, session and product were looked at again: a permission is as old as this number."""
        self._looks = 0

    @property
    def user(self) -> Any:
        """The user, as last loaded."""
        return self.scope["user"]

    def begin_look(self) -> int:
        """Return the number of a look at user and session that begins now."""
        self._looks += 1
        return self._looks

    def is_newest(self, look: int) -> bool:
        """Tell whether what a look found still counts: one that began later loaded what is newer."""
        return look == self._looks

    def become(self, user: Any, session: Any) -> None:
        """Be asked about from now on with user and session as they are stored now."""
        self.scope["user"] = user
        if session is not None:
            self.scope["session"] = session
        self.judged += 1
