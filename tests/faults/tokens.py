"""Which tokens of rates were given, and when, by a trigger on the rows of gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection

from tests.faults.effects import rows

_CREATE = """
CREATE TABLE fault_tokens (at timestamptz NOT NULL, granted int NOT NULL);
CREATE FUNCTION fault_note_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fault_tokens VALUES (statement_timestamp(), NEW.granted);
    RETURN NULL;
END $$;
CREATE TRIGGER fault_tokens AFTER UPDATE OF granted ON pleme_redis_django_flowgate
    FOR EACH ROW EXECUTE FUNCTION fault_note_tokens();
"""
_DROP = """
DROP TRIGGER IF EXISTS fault_tokens ON pleme_redis_django_flowgate;
DROP FUNCTION IF EXISTS fault_note_tokens;
DROP TABLE IF EXISTS fault_tokens;
"""


@contextmanager
def tokens_recorded() -> Iterator[None]:
    """Have the table of the tokens that are given, each with the database's time of its statement."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP + _CREATE)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_DROP)


def given_tokens() -> list[tuple[datetime, int]]:
    """Return when how many tokens were given, oldest first."""
    return [
        (at, granted)
        for at, granted in rows("SELECT at, granted FROM fault_tokens WHERE granted > 0 ORDER BY at")
    ]


def most_in_window(given: Sequence[tuple[datetime, int]], seconds: float) -> int:
    """Return the most tokens that were given in any time of so many seconds."""
    window, first, total, most = timedelta(seconds=seconds), 0, 0, 0
    for at, granted in given:
        total += granted
        while at - given[first][0] >= window:
            total -= given[first][1]
            first += 1
        most = max(most, total)
    return most
