"""Enqueueing: checks, inserts in the caller's transaction, and hints once that has committed."""

from pleme_redis_django.enqueueing.enqueuer import aenqueue, aenqueue_many, enqueue, enqueue_many

__all__ = ["aenqueue", "aenqueue_many", "enqueue", "enqueue_many"]
