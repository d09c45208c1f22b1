"""A session of PostgreSQL: what its transactions wait for at most."""

from __future__ import annotations

import pytest
from django.db import connection

from pleme_redis_django.orm_store.connection import writing
from pleme_redis_django.orm_store.dialects.postgresql.session import LOCK_WAIT

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_the_engine_writes_waits_for_no_lock_for_long(kept_for_ever: None) -> None:
    with connection.cursor() as cursor:
        with writing("default"):
            cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
            assert cursor.fetchone() == (LOCK_WAIT, "30s")
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        assert cursor.fetchone() == ("0", "0")
        cursor.execute("SET statement_timeout = '3s'")
        with writing("default"):
            cursor.execute("SELECT current_setting('statement_timeout')")
            assert cursor.fetchone() == ("3s",)
    connection.close()
