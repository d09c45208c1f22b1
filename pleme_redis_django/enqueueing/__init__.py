"""Enqueueing: checks a job, inserts it in the caller's transaction, and sends a hint after the commit."""

from pleme_redis_django.enqueueing.enqueuer import aenqueue, aenqueue_many, enqueue, enqueue_many

__all__ = ["aenqueue", "aenqueue_many", "enqueue", "enqueue_many"]
