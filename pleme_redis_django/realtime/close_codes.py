"""Why the server closed a socket: each code's range tells the client whether to come back.

4000-4099: never; 4100-4199: after a growing, jittered delay; 4200-4299: soon. A web server that stops
closes its sockets itself without asking the application; uvicorn closes them with 1012.
"""

from __future__ import annotations

import enum


class CloseCode(enum.IntEnum):
    """Close codes of the protocol ``pleme.v1`` (RFC 6455 leaves 4000-4999 to applications)."""

    BAD_PROTOCOL = 4000
    BAD_CREDENTIALS = 4001
    DENIED = 4003
    OVER_QUOTA = 4004
    REVOKED = 4005
    OVERLOAD = 4100
    SLOW = 4108
    EXPIRED = 4109
    NO_PONG = 4201

    @property
    def retry_milliseconds(self) -> tuple[int, int] | None:
        """The shortest and the longest delay before the client comes back; None: it does not."""
        if self < 4100:
            return None
        return (500, 20_000) if self < 4200 else (0, 8_000)
