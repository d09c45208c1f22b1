"""Presence: who is online, and who is typing.

- ``manager.py``: PresenceManager; ``changes.py``: what a call made visible, and the signals of it
- ``sweep.py``: removes expired connections
- ``typing_indicators.py``: TypingManager
"""

from __future__ import annotations

from pleme_redis_django.redis_state.presence.manager import PresenceManager
from pleme_redis_django.redis_state.presence.typing_indicators import TypingManager

__all__ = ["PresenceManager", "TypingManager"]
