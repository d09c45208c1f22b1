"""Tallies: they add up, and survive being stored."""

from __future__ import annotations

import json

import pytest

from pleme_redis_django.metrics import tally
from pleme_redis_django.metrics.tally import Tally, with_totals
from tests.metrics.measuring import counted, ended


def test_tallies_survive_json() -> None:
    found = counted(ended(), ended("failed", queue="images"))
    assert tally.from_json(json.loads(json.dumps(tally.to_json(found)))) == found


def test_totals_are_of_each_product_and_of_everything() -> None:
    found = with_totals(counted(ended(), ended(queue="images"), ended(product="blog")))
    assert {key: one.completed for key, one in found.items()} == {
        ("shop", "emails"): 1,
        ("shop", "images"): 1,
        ("blog", "emails"): 1,
        ("shop", ""): 2,
        ("blog", ""): 1,
        ("", ""): 3,
    }
    assert sum(found["", ""].waits.values()) == 3
    assert with_totals({})["", ""] == Tally()


@pytest.mark.parametrize("queue", ["", "emails"])
def test_jobs_without_a_product_count_once_in_everything(queue: str) -> None:
    found = with_totals(counted(ended(product="", queue=queue), ended()))
    assert found["", ""].completed == 2
    assert found["shop", ""].completed == 1
