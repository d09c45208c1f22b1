"""What a block of code published, read from the log that pub/sub keeps anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pleme_redis_django.conf import resolve_product
from pleme_redis_django.redis_state.names import covers, head_of, validate_pattern
from pleme_redis_django.redis_state.pubsub.log import log_page
from pleme_redis_django.redis_state.pubsub.log_page import REPAIR_LIMIT
from pleme_redis_django.redis_state.pubsub.messages import Message, to_message

Published = list[Message]


@contextmanager
def assert_published(
    pattern: str, *, times: int | None = None, product: str | None = None
) -> Iterator[Published]:
    """Fail unless the block publishes to ``pattern`` (``times`` times); the messages are in the list given.

    Inside a TestCase, what waits for a commit is published by ``captureOnCommitCallbacks(execute=True)``.
    """
    product, head = resolve_product(product), head_of(validate_pattern(pattern))
    before = log_page(product, head, None, 0).run().top
    published: Published = []
    yield published
    page = log_page(product, head, before, REPAIR_LIMIT).run()
    if not page.recovered:
        raise AssertionError(f"What the block published cannot be read from the log any more: {page.status}.")
    published += [to_message(each) for each in page.messages if covers(pattern, each.channel)]
    others = sorted({each.channel for each in page.messages})
    seen = f"{len(published)} of the block's messages were published to {pattern!r}; channels used: {others}."
    if times is None:
        assert published, seen
    else:
        assert len(published) == times, f"Expected {times}. {seen}"
