"""RequestContextFilter: each record has the id of the current request."""

from __future__ import annotations

import logging

from pleme_redis_django.middleware import RequestContextFilter
from pleme_redis_django.middleware.request_context.facts import RequestFacts, answering

REQUEST = RequestFacts(request_id="r-1", user_id="7", language=None)


def test_log_records_have_the_id() -> None:
    record = logging.makeLogRecord({"msg": "hello"})
    assert RequestContextFilter().filter(record)
    assert vars(record)["request_id"] == "-"
    with answering(REQUEST):
        assert RequestContextFilter().filter(record)
    assert vars(record)["request_id"] == "r-1"
