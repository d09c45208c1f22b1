"""RequestContextFilter: puts the id of the current request on log records."""

from __future__ import annotations

import logging

from pleme_redis_django.middleware.request_context.facts import current_request

NO_REQUEST = "-"


class RequestContextFilter(logging.Filter):
    """For ``LOGGING``: each record gets ``request_id``, "-" where there is no request. It lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        current = current_request()
        record.request_id = NO_REQUEST if current is None else current.request_id
        return True
