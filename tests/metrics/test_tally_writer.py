"""What a worker process counted: stored as one row, or kept until the database takes it."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connections
from django.test.utils import CaptureQueriesContext

from pleme_redis_django.metrics import tally
from pleme_redis_django.models import WorkerTally
from tests.metrics.measuring import a_tally_writer, ended
from tests.rows import BACKENDS

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def test_nothing_is_written_when_nothing_was_counted(using: str) -> None:
    with CaptureQueriesContext(connections[using]) as captured:
        assert not a_tally_writer(using).store()
    assert len(captured) == 0


def test_what_the_database_did_not_take_is_stored_with_the_next_counts(
    using: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = a_tally_writer(using)
    writer.counter.emit(ended())

    def is_away(*_arguments: object, **_options: object) -> None:
        raise OperationalError("the server is away")

    with monkeypatch.context() as patched:
        patched.setattr(WorkerTally, "save", is_away)
        with pytest.raises(OperationalError):
            writer.store()
    writer.counter.emit(ended("failed"))
    assert writer.store()
    (row,) = WorkerTally.objects.using(using)
    (counted,) = tally.from_json(row.queues).values()
    assert (counted.completed, counted.failed) == (1, 1)
    assert not writer.store(), "it is stored once"
