"""Reads of a page: a slow one is ended, and nobody else's time is changed."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction

from pleme_redis_django.orm_store.bounded_reads import ReadTookTooLong, bounded_reads
from tests.hanging import HANGING_STATEMENT


def the_limit() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def set_limit(value: str) -> None:
    execute(f"SET LOCAL statement_timeout = '{value}'")


def sleep_within(seconds: float) -> None:
    with bounded_reads("default", seconds):
        execute(HANGING_STATEMENT)


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_longer_is_ended_and_says_so() -> None:
    with pytest.raises(ReadTookTooLong, match=r"did not answer within 0\.05 s"):
        sleep_within(0.05)
    assert the_limit() == "0"


@pytest.mark.django_db
def test_it_holds_inside_and_the_callers_own_limit_is_back_afterwards() -> None:
    set_limit("7s")
    with bounded_reads("default", 3):
        assert the_limit() == "3s"
    assert the_limit() == "7s"


@pytest.mark.django_db
def test_a_shorter_limit_of_the_caller_stays() -> None:
    set_limit("250ms")
    with bounded_reads("default", 3):
        assert the_limit() == "250ms"
    assert the_limit() == "250ms"


@pytest.mark.django_db
def test_a_slow_read_inside_a_transaction_does_not_break_it() -> None:
    with pytest.raises(ReadTookTooLong), bounded_reads("default", 0.05), connection.cursor() as cursor:
        cursor.execute(HANGING_STATEMENT)
    assert the_limit() == "0"


@pytest.mark.django_db(transaction=True)
def test_another_error_of_the_database_is_not_taken_for_a_slow_read() -> None:
    with pytest.raises(OperationalError), transaction.atomic(), bounded_reads("default", 3):
        execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.django_db(databases=["sqlite"])
def test_sqlite_has_no_limit_and_reads_all_the_same() -> None:
    with bounded_reads("sqlite", 0.001):
        pass
