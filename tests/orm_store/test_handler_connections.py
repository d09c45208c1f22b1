"""Connections of handlers after a job: when they are dropped, and when they are kept."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection

from pleme_redis_django.orm_store import DatabaseScope
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)


def _only_read() -> None:
    """Make this session what one to a standby is."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


def test_a_handlers_session_that_only_reads_is_dropped(kept_for_ever: None) -> None:
    scope = DatabaseScope()
    connection.close()
    scope.enter()
    make_job()
    _only_read()
    with pytest.raises(DatabaseError):
        make_job()
    scope.leave()
    scope.enter()
    make_job()
    scope.leave()
