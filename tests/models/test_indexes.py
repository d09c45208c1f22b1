"""Indexes of job tables: their names fit, and a prefix of the project's own keeps them apart."""

from __future__ import annotations

from django.db.models import Index

from pleme_redis_django.models import Job
from pleme_redis_django.models.indexes import job_constraints, job_indexes

LONGEST_PREFIX = "a_prefix_of_25_characters"


def test_a_prefix_of_25_characters_fits_every_name() -> None:
    assert len(LONGEST_PREFIX) == 25
    names = [each.name for each in (*job_indexes(LONGEST_PREFIX), *job_constraints(LONGEST_PREFIX))]
    assert max(map(len, names)) <= Index.max_name_length
    assert len(set(names)) == len(names)


def test_the_indexes_of_the_model_are_these_with_its_own_prefix() -> None:
    own = {index.name.removeprefix("pleme_redis_django_job_") for index in Job._meta.indexes}
    assert own == {index.name.removeprefix("x_") for index in job_indexes("x_")}


def test_every_index_leaves_completed_history_out() -> None:
    assert all(index.condition is not None for index in job_indexes())
