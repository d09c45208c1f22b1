"""Pub/sub: sends events of a product to current subscribers, and keeps them for some minutes for those who reconnect.

- ``manager.py``: PubSubManager, the way in; ``subscriptions.py``: the iterators of subscribers
- ``messages.py``: what travels; ``log.py``: what came after a position; ``cursor.py``: what is next, known or lost
- ``bus.py``: the one connection of an event loop; ``head_feed.py``: what it hears of one head, in order
- ``pattern_tree.py``: which of many patterns cover a channel
"""

from __future__ import annotations

from pleme_redis_django.redis_state.pubsub.manager import PubSubManager

__all__ = ["PubSubManager"]
