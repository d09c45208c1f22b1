"""What becomes of entries: imported rows by name, and the reasons of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from pleme_redis_django.adoption.schedules.entry import Entry
from pleme_redis_django.adoption.schedules.importing import Imports, import_entries
from tests.adoption.schedules import jobs
from tests.rows import BACKENDS

__all__ = ["jobs"]
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
ImportEntries = Callable[..., Imports]


@pytest.fixture(params=BACKENDS)
def using(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(using: str) -> ImportEntries:
    """Import entries on a database, at noon."""

    def _run(entries: Iterable[Entry], **options: Any) -> Imports:
        return import_entries(entries, product="shop", using=using, clock=lambda _using: NOON, **options)

    return _run
