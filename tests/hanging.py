"""What does not come back before a test has ended it: a sleep, and a statement in PostgreSQL."""

from __future__ import annotations

import time

HOUR_SECONDS = 3_600
HANGING_STATEMENT = f"SELECT pg_sleep({HOUR_SECONDS})"


def sleep_for_an_hour() -> None:
    time.sleep(HOUR_SECONDS)
